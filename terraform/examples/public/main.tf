# A dataset that anybody may read, from a notebook or a web page, and that becomes cheaper when it is three months old.

provider "aws" {
  region = "us-east-1"
}

module "lightkeep" {
  source = "../.."

  name           = "open-fibre"
  public         = true
  cors_origins   = ["*"]
  retention_days = 90
  tiering        = { class = "INTELLIGENT_TIERING", days = 90 }

  landing_suffixes    = [".h5", ".tdms", ".sgy", ".fits"]
  landing_expire_days = 365
}

output "next" {
  value = module.lightkeep.next
}
