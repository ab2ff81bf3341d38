variable "name" {
  description = "Short name that everything made here begins with."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "The name is 3 to 24 lower-case letters, digits and dashes, and starts with a letter."
  }
}

variable "tags" {
  description = "Tags for everything made here."
  type        = map(string)
  default     = {}
}

# -- buckets ---------------------------------------------------------------------------------------

variable "archive_bucket" {
  description = "Name of the bucket to make for the archive; without it NAME-archive-ACCOUNT."
  type        = string
  default     = null
}

variable "landing_bucket" {
  description = "Name of the bucket to make for raw files; without it NAME-landing-ACCOUNT."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Let terraform destroy delete buckets that still hold objects. For trials only."
  type        = bool
  default     = false
}

variable "retention_days" {
  description = "Days for which overwritten and deleted objects can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.retention_days >= 1 && floor(var.retention_days) == var.retention_days
    error_message = "The retention is a whole number of days, one at least."
  }
}

variable "tiering" {
  description = "Move data to a cheaper class that reads at once, after so many days. GLACIER_IR needs provider 3.69 or newer."
  type        = object({ class = string, days = number })
  default     = null

  validation {
    condition     = var.tiering == null ? true : contains(["STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR"], var.tiering.class)
    error_message = "Data must stay readable at once: the class is STANDARD_IA, INTELLIGENT_TIERING or GLACIER_IR."
  }

  validation {
    condition     = var.tiering == null ? true : var.tiering.days >= 30
    error_message = "S3 moves objects to a cheaper class after 30 days at the earliest."
  }
}

variable "public" {
  description = "Let anybody read the archive: its data, commits and index, but neither quarantine nor raw files."
  type        = bool
  default     = false
}

variable "cors_origins" {
  description = "Web pages that may read the archive from a browser."
  type        = list(string)
  default     = ["*"]
}

variable "access_log_bucket" {
  description = "An existing bucket for the access logs of both buckets; without it none are kept."
  type        = string
  default     = null
}

variable "landing_suffixes" {
  description = "Ends of the names of raw files, such as .h5; without them every object is taken for one."
  type        = list(string)
  default     = []
}

variable "landing_expire_days" {
  description = "Days after which raw files are deleted from the landing bucket; without it they stay."
  type        = number
  default     = null

  validation {
    condition     = var.landing_expire_days == null ? true : var.landing_expire_days >= 1
    error_message = "Raw files can be deleted after one day at the earliest."
  }
}

# -- queue -----------------------------------------------------------------------------------------

variable "visibility_seconds" {
  description = "How long a message is hidden from other workers; a worker prolongs it while it works."
  type        = number
  default     = 60

  validation {
    condition     = var.visibility_seconds >= 3 && var.visibility_seconds <= 43200
    error_message = "Messages are hidden for 3 to 43200 seconds."
  }
}

variable "tries" {
  description = "Tries after which a message goes to the dead-letter queue."
  type        = number
  default     = 5

  validation {
    condition     = var.tries >= 2 && var.tries <= 1000
    error_message = "A message is tried 2 to 1000 times; with one try, a worker that is replaced would lose it to the dead-letter queue."
  }
}

# -- who may do what -------------------------------------------------------------------------------

variable "ingest_principals" {
  description = "ARNs that may take the role that writes, beside the worker."
  type        = list(string)
  default     = []
}

variable "reader_principals" {
  description = "ARNs that may take the role that reads; without them whoever this account allows to."
  type        = list(string)
  default     = []
}

variable "keeper_principals" {
  description = "ARNs that may take the role that compacts, verifies and collects, beside the scheduled tasks."
  type        = list(string)
  default     = []
}

variable "repair_principals" {
  description = "ARNs that may replace damaged objects (lightkeep repair), with If-Match instead of If-None-Match."
  type        = list(string)
  default     = []
}

# -- what runs -------------------------------------------------------------------------------------

variable "worker" {
  description = "The worker on Fargate: its image, its network, its size. Without it nothing runs, and you run workers elsewhere."
  type = object({
    image            = string
    vpc_id           = string
    subnet_ids       = list(string)
    assign_public_ip = optional(bool, false)
    cpu              = optional(number, 1024)
    memory           = optional(number, 4096)
    arm              = optional(bool, false)
    max_tasks        = optional(number, 4)
    environment      = optional(map(string), {})
  })
  default = null

  validation {
    condition     = var.worker == null ? true : length(var.worker.subnet_ids) > 0
    error_message = "The worker needs a subnet to run in."
  }

  validation {
    condition     = var.worker == null ? true : can(regex("@sha256:[0-9a-f]{64}$", var.worker.image))
    error_message = "Name the image by its digest (…@sha256:…), so that what runs is what was tested."
  }

  validation {
    condition     = var.worker == null ? true : var.worker.max_tasks >= 1
    error_message = "The worker needs one task at least when there is work."
  }

  validation {
    condition = var.worker == null ? true : alltrue([
      for name in keys(var.worker.environment) :
      can(regex("^LIGHTKEEP_", name)) && !contains(["LIGHTKEEP_URL", "LIGHTKEEP_QUEUE", "LIGHTKEEP_SOURCES", "LIGHTKEEP_VISIBILITY_SECONDS"], name)
    ])
    error_message = "The environment holds LIGHTKEEP_ settings only, and not those that this module sets itself."
  }
}

variable "scale_out_seconds" {
  description = "Age of the oldest message at which a worker is added."
  type        = number
  default     = 60
}

variable "idle_minutes" {
  description = "Minutes with an empty queue after which no worker is left."
  type        = number
  default     = 10

  validation {
    condition     = var.idle_minutes >= 1 && var.idle_minutes <= 60
    error_message = "Workers stop after 1 to 60 idle minutes."
  }
}

variable "keeper" {
  description = "When compact, verify and gc run (EventBridge schedules, UTC), and how large; runs with the worker's image and network."
  type = object({
    compact = optional(string, "cron(15 2 * * ? *)")
    gc      = optional(string, "cron(15 4 ? * SUN *)")
    verify  = optional(string, "cron(15 6 ? * SUN *)")
    cpu     = optional(number, 2048)
    memory  = optional(number, 8192)
  })
  default = {}

  validation {
    condition     = alltrue([for when in [var.keeper.compact, var.keeper.gc, var.keeper.verify] : can(regex("^(cron|rate)\\(.+\\)$", when))])
    error_message = "A schedule is cron(…) or rate(…)."
  }
}

# -- who is told -----------------------------------------------------------------------------------

variable "alarm_emails" {
  description = "Addresses that alarms go to; each must confirm once."
  type        = list(string)
  default     = []
}

variable "alarm_age_seconds" {
  description = "Age of the oldest message that is an alarm."
  type        = number
  default     = 3600
}

variable "alarm_lag_seconds" {
  description = "Time from the arrival of a file until it can be read that is an alarm (95th percentile)."
  type        = number
  default     = 900
}

variable "budget_dollars" {
  description = "Dollars a month for the whole account above which, and above 80 % of which, mail is sent; without it there is no budget."
  type        = number
  default     = null

  validation {
    condition     = var.budget_dollars == null ? true : var.budget_dollars > 0
    error_message = "A budget is more than nothing."
  }
}

variable "log_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30
}
