terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # 4.0 to 4.8 could not set versioning, lifecycle, encryption and CORS inside aws_s3_bucket; before and after can.
      version = ">= 3.39, != 4.0.0, != 4.1.0, != 4.2.0, != 4.3.0, != 4.4.0, != 4.5.0, != 4.6.0, != 4.7.0, != 4.8.0"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.id # `name` goes away in version 7
  tags    = merge({ "lightkeep" = var.name }, var.tags)

  archive_name = coalesce(var.archive_bucket, "${var.name}-archive-${local.account}")
  landing_name = coalesce(var.landing_bucket, "${var.name}-landing-${local.account}")
  archive_arn  = "arn:${data.aws_partition.current.partition}:s3:::${local.archive_name}"
  landing_arn  = "arn:${data.aws_partition.current.partition}:s3:::${local.landing_name}"
  work_arn     = "arn:${data.aws_partition.current.partition}:sqs:${local.region}:${local.account}:${var.name}-work"
  archive_url  = "s3://${local.archive_name}"
}
