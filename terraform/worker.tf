# The worker on Fargate. Without messages none runs; the age of the oldest message says how many do.

locals {
  runs = var.worker == null ? {} : { (var.name) = var.worker }

  worker_environment = var.worker == null ? {} : merge(var.worker.environment, {
    LIGHTKEEP_URL                = local.archive_url
    LIGHTKEEP_QUEUE              = aws_sqs_queue.work.id
    LIGHTKEEP_SOURCES            = "s3://${local.landing_name}/"
    LIGHTKEEP_VISIBILITY_SECONDS = tostring(var.visibility_seconds)
    LIGHTKEEP_GRACE_SECONDS      = lookup(var.worker.environment, "LIGHTKEEP_GRACE_SECONDS", tostring(local.stop_seconds - 10))
    AWS_REGION                   = local.region
    AWS_DEFAULT_REGION           = local.region
  })

  stop_seconds = 120

  # What every container has: no privileges, a root file system that cannot be written, and /tmp.
  container = {
    user                   = "65532:65532"
    essential              = true
    readonlyRootFilesystem = true
    portMappings           = []
    volumesFrom            = []
    linuxParameters        = { capabilities = { drop = ["ALL"] }, initProcessEnabled = true }
    mountPoints            = [{ sourceVolume = "scratch", containerPath = "/tmp", readOnly = false }]
    stopTimeout            = local.stop_seconds
  }
}

resource "aws_cloudwatch_log_group" "tasks" {
  for_each          = local.runs
  name              = "/lightkeep/${each.key}"
  retention_in_days = var.log_days
  tags              = local.tags
}

resource "aws_ecs_cluster" "this" {
  for_each = local.runs
  name     = each.key
  tags     = local.tags

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}

resource "aws_security_group" "tasks" {
  for_each    = local.runs
  name        = "${each.key}-tasks"
  description = "Lightkeep tasks: HTTPS outwards, nothing inwards"
  vpc_id      = each.value.vpc_id
  tags        = local.tags

  egress {
    description      = "S3, SQS, logs and the registry of images"
    from_port        = 443
    to_port          = 443
    protocol         = "tcp"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

# Pulls the image and writes logs; the program itself never has it.
resource "aws_iam_role" "execution" {
  for_each           = local.runs
  name               = "${each.key}-execution"
  assume_role_policy = data.aws_iam_policy_document.execution_trust[each.key].json
  tags               = local.tags
}

data "aws_iam_policy_document" "execution_trust" {
  for_each = local.runs

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy_attachment" "execution" {
  for_each   = local.runs
  role       = aws_iam_role.execution[each.key].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_ecs_task_definition" "worker" {
  for_each                 = local.runs
  family                   = "${each.key}-worker"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = tostring(each.value.cpu)
  memory                   = tostring(each.value.memory)
  task_role_arn            = aws_iam_role.ingest.arn
  execution_role_arn       = aws_iam_role.execution[each.key].arn
  tags                     = local.tags

  container_definitions = jsonencode([merge(local.container, {
    name        = "worker"
    image       = each.value.image
    entryPoint  = ["lightkeep"]
    command     = ["worker"]
    environment = [for name in sort(keys(local.worker_environment)) : { name = name, value = local.worker_environment[name] }]
    healthCheck = {
      command     = ["CMD", "lightkeep", "worker", "--health"]
      interval    = 30
      timeout     = 10
      retries     = 3
      startPeriod = 60
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.tasks[each.key].name
        awslogs-region        = local.region
        awslogs-stream-prefix = "worker"
      }
    }
  })])

  volume {
    name = "scratch"
  }
}

resource "aws_ecs_service" "worker" {
  for_each        = local.runs
  name            = "worker"
  cluster         = aws_ecs_cluster.this[each.key].id
  task_definition = aws_ecs_task_definition.worker[each.key].arn
  launch_type     = "FARGATE"
  desired_count   = 0
  tags            = local.tags

  network_configuration {
    subnets          = each.value.subnet_ids
    security_groups  = [aws_security_group.tasks[each.key].id]
    assign_public_ip = each.value.assign_public_ip
  }

  # The queue says how many run.
  lifecycle {
    ignore_changes = [desired_count]
  }
}

resource "aws_appautoscaling_target" "worker" {
  for_each           = local.runs
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this[each.key].name}/${aws_ecs_service.worker[each.key].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = 0
  max_capacity       = each.value.max_tasks
}

# Tracking a target cannot leave zero, since nothing times any factor is nothing: so steps.
resource "aws_appautoscaling_policy" "more" {
  for_each           = local.runs
  name               = "${each.key}-more"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.worker[each.key].service_namespace
  resource_id        = aws_appautoscaling_target.worker[each.key].resource_id
  scalable_dimension = aws_appautoscaling_target.worker[each.key].scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    cooldown                = 120
    metric_aggregation_type = "Maximum"

    step_adjustment {
      metric_interval_lower_bound = "0"
      metric_interval_upper_bound = "600"
      scaling_adjustment          = 1
    }

    step_adjustment {
      metric_interval_lower_bound = "600"
      scaling_adjustment          = 2
    }
  }
}

resource "aws_appautoscaling_policy" "none" {
  for_each           = local.runs
  name               = "${each.key}-none"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.worker[each.key].service_namespace
  resource_id        = aws_appautoscaling_target.worker[each.key].resource_id
  scalable_dimension = aws_appautoscaling_target.worker[each.key].scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type         = "ExactCapacity"
    cooldown                = 60
    metric_aggregation_type = "Maximum"

    step_adjustment {
      metric_interval_upper_bound = "0"
      scaling_adjustment          = 0
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "waiting" {
  for_each            = local.runs
  alarm_name          = "${each.key}-scale-out"
  alarm_description   = "Messages wait: add workers. No trouble by itself."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.work.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.scale_out_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.more[each.key].arn]
  tags                = local.tags
}

# Messages that are hidden are being worked on, so both counts. A queue that rests for hours has no metrics at all: empty, too.
resource "aws_cloudwatch_metric_alarm" "idle" {
  for_each            = local.runs
  alarm_name          = "${each.key}-scale-in"
  alarm_description   = "Nothing to do: stop all workers. No trouble by itself."
  evaluation_periods  = var.idle_minutes
  comparison_operator = "LessThanOrEqualToThreshold"
  threshold           = 0
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_appautoscaling_policy.none[each.key].arn]
  tags                = local.tags

  metric_query {
    id          = "messages"
    expression  = "visible + hidden"
    label       = "Messages in the queue"
    return_data = true
  }

  metric_query {
    id = "visible"

    metric {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.work.name }
      stat        = "Maximum"
      period      = 60
    }
  }

  metric_query {
    id = "hidden"

    metric {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesNotVisible"
      dimensions  = { QueueName = aws_sqs_queue.work.name }
      stat        = "Maximum"
      period      = 60
    }
  }
}
