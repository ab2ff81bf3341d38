resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [for number, widget in local.widgets : {
      type   = "metric"
      x      = 8 * (number % 3)
      y      = 6 * floor(number / 3)
      width  = 8
      height = 6
      properties = {
        title   = widget.title
        metrics = widget.metrics
        region  = local.region
        period  = lookup(widget, "period", 300)
        view    = "timeSeries"
        yAxis   = { left = { min = 0 } }
      }
    }]
  })
}

locals {
  work = ["QueueName", aws_sqs_queue.work.name]
  dead = ["QueueName", aws_sqs_queue.dead.name]
  held = ["Archive", local.archive_url]
  size = ["BucketName", local.archive_name, "StorageType"]

  widgets = [
    {
      title   = "Age of the oldest message, s"
      metrics = [concat(["AWS/SQS", "ApproximateAgeOfOldestMessage"], local.work, [{ stat = "Maximum" }])]
    },
    {
      title   = "From arrival to visible, s"
      metrics = [for stat in ["p50", "p95", "Maximum"] : concat([local.metrics, "Lag"], local.held, [{ stat = stat, label = stat }])]
    },
    {
      title = "Messages"
      metrics = [
        concat(["AWS/SQS", "ApproximateNumberOfMessagesVisible"], local.work, [{ stat = "Maximum", label = "waiting" }]),
        concat(["AWS/SQS", "ApproximateNumberOfMessagesNotVisible"], local.work, [{ stat = "Maximum", label = "being worked on" }]),
        concat(["AWS/SQS", "ApproximateNumberOfMessagesVisible"], local.dead, [{ stat = "Maximum", label = "dead letters" }]),
      ]
    },
    {
      title   = "Files"
      metrics = [for name in ["Files", "Refused", "Failures"] : concat([local.metrics, name], local.held, [{ stat = "Sum" }])]
    },
    {
      title   = "Bytes of raw files taken in"
      metrics = [concat([local.metrics, "Bytes"], local.held, [{ stat = "Sum" }])]
    },
    {
      title   = "Bytes stored"
      period  = 86400
      metrics = [for class in ["StandardStorage", "StandardIAStorage", "IntelligentTieringFAStorage", "GlacierInstantRetrievalStorage"] : concat(["AWS/S3", "BucketSizeBytes"], local.size, [class, { stat = "Average" }])]
    },
  ]
}
