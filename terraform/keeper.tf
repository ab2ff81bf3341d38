# compact, gc and verify on their schedules.

locals {
  deeds = var.worker == null ? {} : {
    compact = { when = var.keeper.compact, command = ["compact", local.archive_url, "--json"] }
    gc      = { when = var.keeper.gc, command = ["gc", local.archive_url, "--json"] }
    verify  = { when = var.keeper.verify, command = ["verify", local.archive_url, "--json"] }
  }
}

resource "aws_ecs_task_definition" "keeper" {
  for_each                 = local.runs
  family                   = "${each.key}-keeper"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = tostring(var.keeper.cpu)
  memory                   = tostring(var.keeper.memory)
  task_role_arn            = aws_iam_role.keeper.arn
  execution_role_arn       = aws_iam_role.execution[each.key].arn
  tags                     = local.tags

  container_definitions = jsonencode([merge(local.container, {
    name       = "keeper"
    image      = each.value.image
    entryPoint = ["lightkeep"]
    command    = ["verify", local.archive_url, "--json"]
    environment = [
      { name = "AWS_DEFAULT_REGION", value = local.region },
      { name = "AWS_REGION", value = local.region },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.tasks[each.key].name
        awslogs-region        = local.region
        awslogs-stream-prefix = "keeper"
      }
    }
  })])

  volume {
    name = "scratch"
  }
}

resource "aws_cloudwatch_event_rule" "keeper" {
  for_each            = local.deeds
  name                = "${var.name}-${each.key}"
  description         = "lightkeep ${join(" ", each.value.command)}"
  schedule_expression = each.value.when
  tags                = local.tags
}

resource "aws_cloudwatch_event_target" "keeper" {
  for_each  = local.deeds
  rule      = aws_cloudwatch_event_rule.keeper[each.key].name
  target_id = each.key
  arn       = aws_ecs_cluster.this[var.name].arn
  role_arn  = aws_iam_role.schedule[var.name].arn
  input     = jsonencode({ containerOverrides = [{ name = "keeper", command = each.value.command }] })

  ecs_target {
    launch_type         = "FARGATE"
    task_count          = 1
    task_definition_arn = aws_ecs_task_definition.keeper[var.name].arn

    network_configuration {
      subnets          = var.worker.subnet_ids
      security_groups  = [aws_security_group.tasks[var.name].id]
      assign_public_ip = var.worker.assign_public_ip
    }
  }
}

resource "aws_iam_role" "schedule" {
  for_each           = local.runs
  name               = "${each.key}-schedule"
  assume_role_policy = data.aws_iam_policy_document.schedule_trust[each.key].json
  tags               = local.tags
}

data "aws_iam_policy_document" "schedule_trust" {
  for_each = local.runs

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "schedule" {
  for_each = local.runs
  name     = "run"
  role     = aws_iam_role.schedule[each.key].id
  policy   = data.aws_iam_policy_document.schedule[each.key].json
}

data "aws_iam_policy_document" "schedule" {
  for_each = local.runs

  statement {
    sid       = "Run"
    actions   = ["ecs:RunTask"]
    resources = [aws_ecs_task_definition.keeper[each.key].arn]
  }

  statement {
    sid       = "AsKeeper"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.keeper.arn, aws_iam_role.execution[each.key].arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
}
