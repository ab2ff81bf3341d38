# Raw files arrive here; each tells the queue.

resource "aws_s3_bucket" "landing" {
  bucket        = local.landing_name
  force_destroy = var.force_destroy
  tags          = local.tags

  versioning {
    enabled = true
  }

  server_side_encryption_configuration {
    rule {
      apply_server_side_encryption_by_default {
        sse_algorithm = "AES256"
      }
    }
  }

  lifecycle_rule {
    id                                     = "versions"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 7

    noncurrent_version_expiration {
      days = var.retention_days
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.landing_expire_days == null ? [] : [var.landing_expire_days]

    content {
      id      = "raw-files"
      enabled = true

      expiration {
        days = lifecycle_rule.value
      }
    }
  }

  dynamic "logging" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]

    content {
      target_bucket = logging.value
      target_prefix = "${local.landing_name}/"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "landing" {
  bucket                  = aws_s3_bucket.landing.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "landing" {
  bucket     = aws_s3_bucket.landing.id
  policy     = data.aws_iam_policy_document.landing.json
  depends_on = [aws_s3_bucket_public_access_block.landing]
}

data "aws_iam_policy_document" "landing" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.landing_arn, "${local.landing_arn}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_notification" "landing" {
  bucket     = aws_s3_bucket.landing.id
  depends_on = [aws_sqs_queue_policy.work]

  dynamic "queue" {
    for_each = length(var.landing_suffixes) == 0 ? [""] : var.landing_suffixes

    content {
      queue_arn     = aws_sqs_queue.work.arn
      events        = ["s3:ObjectCreated:*"]
      filter_suffix = queue.value
    }
  }
}
