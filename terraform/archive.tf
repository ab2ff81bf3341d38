# The archive: written once, never overwritten but for index/CURRENT, readable at once.

resource "aws_s3_bucket" "archive" {
  bucket        = local.archive_name
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
    id                                     = "unfinished"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 1
  }

  # What gc and a swap of CURRENT leave behind can be brought back for a while. Short-lived objects would make most of it.
  dynamic "lifecycle_rule" {
    for_each = {
      "commits/"    = 1
      "index/"      = 1
      "data/"       = var.retention_days
      "quarantine/" = var.retention_days
      "clock/"      = 1
      "probe/"      = 1
    }

    content {
      id      = "versions-${trimsuffix(lifecycle_rule.key, "/")}"
      enabled = true
      prefix  = lifecycle_rule.key

      noncurrent_version_expiration {
        days = lifecycle_rule.value
      }

      expiration {
        expired_object_delete_marker = true
      }
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.tiering == null ? [] : [var.tiering]

    content {
      id      = "tiering"
      enabled = true
      prefix  = "data/"

      transition {
        days          = lifecycle_rule.value.days
        storage_class = lifecycle_rule.value.class
      }
    }
  }

  dynamic "cors_rule" {
    for_each = var.public ? [var.cors_origins] : []

    content {
      allowed_methods = ["GET", "HEAD"]
      allowed_origins = cors_rule.value
      allowed_headers = ["*"]
      expose_headers  = ["ETag", "Content-Range", "Content-Length", "Accept-Ranges", "Last-Modified"]
      max_age_seconds = 3000
    }
  }

  dynamic "logging" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]

    content {
      target_bucket = logging.value
      target_prefix = "${local.archive_name}/"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "archive" {
  bucket                  = aws_s3_bucket.archive.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = !var.public
  restrict_public_buckets = !var.public
}

resource "aws_s3_bucket_policy" "archive" {
  bucket     = aws_s3_bucket.archive.id
  policy     = data.aws_iam_policy_document.archive.json
  depends_on = [aws_s3_bucket_public_access_block.archive]
}

data "aws_iam_policy_document" "archive" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.archive_arn, "${local.archive_arn}/*"]

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

  # Parts of a multipart upload carry no condition; the request that completes it does. s3:ObjectCreationOperation tells them apart.
  statement {
    sid           = "WrittenOnce"
    effect        = "Deny"
    actions       = ["s3:PutObject"]
    not_resources = ["${local.archive_arn}/index/CURRENT", "${local.archive_arn}/probe/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }

    condition {
      test     = "Bool"
      variable = "s3:ObjectCreationOperation"
      values   = ["true"]
    }

    dynamic "condition" {
      for_each = length(var.repair_principals) == 0 ? [] : [var.repair_principals]

      content {
        test     = "ArnNotLike"
        variable = "aws:PrincipalArn"
        values   = condition.value
      }
    }
  }

  # CURRENT is made once with If-None-Match (init) and from then on swapped with If-Match. So are the objects that init tries a
  # store with, and damaged ones that repair replaces.
  statement {
    sid       = "SwappedOnly"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["${local.archive_arn}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Null"
      variable = "s3:if-match"
      values   = ["true"]
    }

    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }

    condition {
      test     = "Bool"
      variable = "s3:ObjectCreationOperation"
      values   = ["true"]
    }
  }

  dynamic "statement" {
    for_each = var.public ? ["s3:GetObject"] : []

    content {
      sid       = "AnybodyReads"
      actions   = [statement.value]
      resources = [for key in local.read_keys : "${local.archive_arn}/${key}"]

      principals {
        type        = "AWS"
        identifiers = ["*"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.public ? ["s3:ListBucket"] : []

    content {
      sid       = "AnybodyListsCommits"
      actions   = [statement.value]
      resources = [local.archive_arn]

      principals {
        type        = "AWS"
        identifiers = ["*"]
      }

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = ["commits/*"]
      }
    }
  }
}
