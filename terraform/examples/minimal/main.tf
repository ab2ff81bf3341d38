# Buckets, queue, roles, alarms. The worker runs on a machine of yours. `terraform output -raw next` says how to go on.

provider "aws" {
  region = "us-east-1"
}

module "lightkeep" {
  source = "../.."

  name = "fibre"
}

output "next" {
  value = module.lightkeep.next
}
