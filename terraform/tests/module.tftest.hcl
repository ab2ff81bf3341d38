# Run by `terraform test`, without AWS: the provider is a mock. What policies say is proven elsewhere (tests/infra).

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { id = "us-east-1" }
  }
}

variables {
  name = "fibre"
}

run "private_by_default" {
  command = plan

  assert {
    condition     = aws_s3_bucket_public_access_block.archive.block_public_policy && aws_s3_bucket_public_access_block.archive.restrict_public_buckets
    error_message = "An archive that nobody made public must block public access."
  }

  assert {
    condition     = alltrue([for bucket in [aws_s3_bucket.archive, aws_s3_bucket.landing] : bucket.versioning[0].enabled && !bucket.force_destroy])
    error_message = "Both buckets keep versions and are not deleted with what is in them."
  }

  assert {
    condition     = length(aws_s3_bucket.archive.cors_rule) == 0 && length(aws_ecs_service.worker) == 0 && length(aws_budgets_budget.month) == 0
    error_message = "Neither CORS nor a worker nor a budget was asked for."
  }

  assert {
    condition     = output.archive_url == "s3://fibre-archive-123456789012"
    error_message = "The account is in the bucket's name, so that no other account has it."
  }
}

run "old_versions_go" {
  command = plan

  variables {
    retention_days = 45
  }

  assert {
    condition = {
      for rule in aws_s3_bucket.archive.lifecycle_rule : rule.prefix => rule.noncurrent_version_expiration[0].days
      if length(rule.noncurrent_version_expiration) > 0
    } == { "commits/" = 1, "index/" = 1, "data/" = 45, "quarantine/" = 45, "clock/" = 1, "probe/" = 1 }
    error_message = "Versions go after a day under commits/ and index/, and after the retention elsewhere."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket.archive.lifecycle_rule : rule.prefix == "" || length(rule.expiration) == 0 ? true : rule.expiration[0].expired_object_delete_marker])
    error_message = "No rule deletes what is current, and delete markers of nothing go."
  }
}

run "public_and_tiered" {
  command = plan

  variables {
    public  = true
    tiering = { class = "INTELLIGENT_TIERING", days = 90 }
  }

  assert {
    condition     = !aws_s3_bucket_public_access_block.archive.block_public_policy && aws_s3_bucket_public_access_block.archive.block_public_acls
    error_message = "A public archive is public by its policy alone, never by ACLs."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.landing.block_public_policy && tolist(aws_s3_bucket.archive.cors_rule[0].allowed_methods) == tolist(["GET", "HEAD"])
    error_message = "Raw files stay private, and browsers only read."
  }

  assert {
    condition     = one([for rule in aws_s3_bucket.archive.lifecycle_rule : rule.prefix if length(rule.transition) > 0]) == "data/"
    error_message = "Only data are moved to another class."
  }
}

run "worker_from_nothing" {
  command = plan

  variables {
    budget_dollars = 100
    worker = {
      image      = "images.example/lightkeep@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
      vpc_id     = "vpc-1"
      subnet_ids = ["subnet-1"]
    }
  }

  assert {
    condition     = aws_appautoscaling_target.worker["fibre"].min_capacity == 0 && aws_ecs_service.worker["fibre"].desired_count == 0
    error_message = "Without messages no worker runs."
  }

  assert {
    condition     = toset(keys(aws_cloudwatch_event_rule.keeper)) == toset(["compact", "gc", "verify"])
    error_message = "All three kinds of keeping are scheduled."
  }

  assert {
    condition     = alltrue([for rule in aws_security_group.tasks["fibre"].egress : rule.from_port == 443 && rule.to_port == 443]) && length(aws_budgets_budget.month) == 1
    error_message = "Tasks speak HTTPS only, and there is a budget."
  }
}

run "name_of_capitals" {
  command         = plan
  expect_failures = [var.name]
  variables {
    name = "Fibre_1"
  }
}

run "class_that_must_be_thawed" {
  command         = plan
  expect_failures = [var.tiering]
  variables {
    tiering = { class = "DEEP_ARCHIVE", days = 90 }
  }
}

run "class_too_early" {
  command         = plan
  expect_failures = [var.tiering]
  variables {
    tiering = { class = "STANDARD_IA", days = 3 }
  }
}

run "image_without_digest" {
  command         = plan
  expect_failures = [var.worker]
  variables {
    worker = { image = "lightkeep:latest", vpc_id = "vpc-1", subnet_ids = ["subnet-1"] }
  }
}

run "setting_of_the_module" {
  command         = plan
  expect_failures = [var.worker]
  variables {
    worker = {
      image       = "images.example/lightkeep@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
      vpc_id      = "vpc-1"
      subnet_ids  = ["subnet-1"]
      environment = { LIGHTKEEP_URL = "s3://other" }
    }
  }
}

run "retention_of_nothing" {
  command         = plan
  expect_failures = [var.retention_days]
  variables {
    retention_days = 0
  }
}

run "schedule_that_is_none" {
  command         = plan
  expect_failures = [var.keeper]
  variables {
    keeper = { verify = "daily" }
  }
}

run "one_try_only" {
  command         = plan
  expect_failures = [var.tries]
  variables {
    tries = 1
  }
}

run "budget_of_nothing" {
  command         = plan
  expect_failures = [var.budget_dollars]
  variables {
    budget_dollars = 0
  }
}
