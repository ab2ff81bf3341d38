# Everything: workers that come and go with the queue, scheduled keeping, alarms by mail, a budget.

variable "image" {
  description = "The image, by its digest: REGISTRY/lightkeep@sha256:…"
  type        = string
}

variable "vpc_id" {
  description = "The network that tasks run in. A gateway endpoint for S3 in it saves the fees of a NAT gateway."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of that network with a way to S3, SQS, CloudWatch and the registry of images."
  type        = list(string)
}

variable "alarm_emails" {
  description = "Addresses that alarms go to."
  type        = list(string)
  default     = []
}

variable "budget_dollars" {
  description = "Dollars a month for the whole account above which mail is sent; null for no budget."
  type        = number
  default     = 500
}

provider "aws" {
  region = "us-east-1"
}

module "lightkeep" {
  source = "../.."

  name = "observatory"
  tags = { project = "observatory" }

  tiering             = { class = "STANDARD_IA", days = 90 }
  landing_expire_days = 30

  worker = {
    image       = var.image
    vpc_id      = var.vpc_id
    subnet_ids  = var.subnet_ids
    cpu         = 2048
    memory      = 8192
    max_tasks   = 8
    environment = { LIGHTKEEP_BATCH_SECONDS = "5" }
  }

  keeper = {
    compact = "cron(15 1 * * ? *)"
  }

  alarm_emails   = var.alarm_emails
  budget_dollars = var.budget_dollars
}

output "next" {
  value = module.lightkeep.next
}
