output "archive_url" {
  description = "The archive."
  value       = local.archive_url
}

output "landing_url" {
  description = "Where raw files are put."
  value       = "s3://${aws_s3_bucket.landing.id}"
}

output "queue_url" {
  description = "The queue that workers take messages from."
  value       = aws_sqs_queue.work.id
}

output "dead_letter_queue_url" {
  description = "The queue of messages that no worker could finish."
  value       = aws_sqs_queue.dead.id
}

output "role_arns" {
  description = "The roles, by what they may do."
  value = {
    ingest = aws_iam_role.ingest.arn
    reader = aws_iam_role.reader.arn
    keeper = aws_iam_role.keeper.arn
  }
}

output "alarm_topic_arn" {
  description = "The topic that alarms go to."
  value       = aws_sns_topic.alarms.arn
}

output "worker_environment" {
  description = "The settings of a worker that runs elsewhere."
  value = {
    LIGHTKEEP_URL                = local.archive_url
    LIGHTKEEP_QUEUE              = aws_sqs_queue.work.id
    LIGHTKEEP_SOURCES            = "s3://${local.landing_name}/"
    LIGHTKEEP_VISIBILITY_SECONDS = tostring(var.visibility_seconds)
  }
}

output "next" {
  description = "The commands to run next."
  value = join("\n", concat(
    [
      "# once: make the archive, with your own credentials",
      "lightkeep init ${local.archive_url}",
    ],
    var.worker == null ? [
      "# no worker was asked for: run it anywhere as ${aws_iam_role.ingest.arn}",
      "LIGHTKEEP_URL=${local.archive_url} LIGHTKEEP_QUEUE=${aws_sqs_queue.work.id} LIGHTKEEP_SOURCES=s3://${aws_s3_bucket.landing.id}/ LIGHTKEEP_VISIBILITY_SECONDS=${var.visibility_seconds} lightkeep worker",
      ] : [
      "# what the workers say",
      "aws logs tail ${aws_cloudwatch_log_group.tasks[var.name].name} --follow",
    ],
    [
      "# put files there and see them come in",
      "aws s3 cp FILE s3://${aws_s3_bucket.landing.id}/",
      "lightkeep ls ${local.archive_url}",
      "lightkeep quarantine ls ${local.archive_url}",
    ],
    var.public ? [
      "# what anybody can do",
      "lightkeep ls ${local.archive_url} --option anonymous=true --option region=${local.region}",
    ] : [],
  ))
}
