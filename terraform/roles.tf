# Who may do what. Listing is unrestricted where a role also looks for what is not there: without s3:ListBucket S3 answers
# 403 instead of 404, and a role that writes has to tell the one from the other.

locals {
  # What a reader needs. Neither quarantine/ nor damaged/: they tell of raw files.
  read_keys = ["lightkeep.json", "data/*", "commits/*", "index/*"]

  archive_keys = { for key in [
    "lightkeep.json", "data/*", "commits/*", "index/*", "index/CURRENT", "index/folding/*", "index/leaves/*", "index/ledger/*",
    "index/snapshots/*", "quarantine/*", "clock/*"
  ] : key => "${local.archive_arn}/${key}" }

  account_root = "arn:${data.aws_partition.current.partition}:iam::${local.account}:root"
}

# -- ingest: adds, and takes away only what it has folded ------------------------------------------

resource "aws_iam_role" "ingest" {
  name               = "${var.name}-ingest"
  description        = "Takes raw files into the Lightkeep archive ${local.archive_url}"
  assume_role_policy = data.aws_iam_policy_document.trust["ingest"].json
  tags               = local.tags
}

resource "aws_iam_role_policy" "ingest" {
  name   = "archive"
  role   = aws_iam_role.ingest.id
  policy = data.aws_iam_policy_document.ingest.json
}

data "aws_iam_policy_document" "ingest" {
  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = concat([for key in local.read_keys : local.archive_keys[key]], [local.archive_keys["quarantine/*"]])
  }

  statement {
    sid       = "Add"
    actions   = ["s3:PutObject"]
    resources = [for key in ["data/*", "commits/*", "index/*", "quarantine/*"] : local.archive_keys[key]]
  }

  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [local.archive_arn, local.landing_arn]
  }

  # Folded commits, and the claim of who folds.
  statement {
    sid       = "TakeAwayFolded"
    actions   = ["s3:DeleteObject"]
    resources = [for key in ["commits/*", "index/folding/*"] : local.archive_keys[key]]
  }

  statement {
    sid       = "ReadRawFiles"
    actions   = ["s3:GetObject"]
    resources = ["${local.landing_arn}/*"]
  }

  statement {
    sid       = "Work"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    resources = [local.work_arn]
  }
}

# -- reader: gets, and lists young commits ---------------------------------------------------------

resource "aws_iam_role" "reader" {
  name               = "${var.name}-reader"
  description        = "Reads the Lightkeep archive ${local.archive_url}"
  assume_role_policy = data.aws_iam_policy_document.trust["reader"].json
  tags               = local.tags
}

resource "aws_iam_role_policy" "reader" {
  name   = "archive"
  role   = aws_iam_role.reader.id
  policy = data.aws_iam_policy_document.reader.json
}

data "aws_iam_policy_document" "reader" {
  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = [for key in local.read_keys : local.archive_keys[key]]
  }

  statement {
    sid       = "ListCommits"
    actions   = ["s3:ListBucket"]
    resources = [local.archive_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["commits/*"]
    }
  }
}

# -- keeper: compacts, verifies, collects ----------------------------------------------------------

resource "aws_iam_role" "keeper" {
  name               = "${var.name}-keeper"
  description        = "Compacts, verifies and collects the Lightkeep archive ${local.archive_url}"
  assume_role_policy = data.aws_iam_policy_document.trust["keeper"].json
  tags               = local.tags
}

resource "aws_iam_role_policy" "keeper" {
  name   = "archive"
  role   = aws_iam_role.keeper.id
  policy = data.aws_iam_policy_document.keeper.json
}

data "aws_iam_policy_document" "keeper" {
  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = concat([for key in local.read_keys : local.archive_keys[key]], [for key in ["quarantine/*", "clock/*"] : local.archive_keys[key]])
  }

  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [local.archive_arn]
  }

  # clock/: gc learns the time from the store, by a small object.
  statement {
    sid       = "Write"
    actions   = ["s3:PutObject"]
    resources = [for key in ["data/*", "index/*", "clock/*"] : local.archive_keys[key]]
  }

  # Neither CURRENT nor lightkeep.json nor quarantine. Versions stay until their retention is over: no role can delete those.
  statement {
    sid     = "Collect"
    actions = ["s3:DeleteObject"]
    resources = [for key in [
      "data/*", "commits/*", "index/folding/*", "index/leaves/*", "index/ledger/*", "index/snapshots/*", "clock/*"
    ] : local.archive_keys[key]]
  }
}

# -- who may take these roles ----------------------------------------------------------------------

data "aws_iam_policy_document" "trust" {
  for_each = {
    ingest = var.ingest_principals
    reader = length(var.reader_principals) == 0 ? [local.account_root] : var.reader_principals
    keeper = var.keeper_principals
  }

  dynamic "statement" {
    for_each = each.key == "reader" ? [] : ["ecs-tasks.amazonaws.com"]

    content {
      sid     = "Tasks"
      actions = ["sts:AssumeRole"]

      principals {
        type        = "Service"
        identifiers = [statement.value]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.account]
      }
    }
  }

  dynamic "statement" {
    for_each = length(each.value) == 0 ? [] : [each.value]

    content {
      sid     = "Principals"
      actions = ["sts:AssumeRole"]

      principals {
        type        = "AWS"
        identifiers = statement.value
      }
    }
  }
}
