variable "load_balancer" {
  description = "A global load balancer with Cloud Armor in front; null: the gateway's own address. `direct_routes` names rows of the manifest that it sends straight to their functions."
  type = object({
    domain              = string
    direct_routes       = optional(set(string), [])
    requests_per_minute = optional(number, 6000)
  })
  default = null
  validation {
    condition     = var.load_balancer == null ? true : can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.load_balancer.domain))
    error_message = "load_balancer.domain is a name such as ai.example.com, whose A record will point at the address that is put out."
  }
  validation {
    condition     = var.load_balancer == null ? true : var.load_balancer.requests_per_minute >= 1 && var.load_balancer.requests_per_minute <= 1000000
    error_message = "load_balancer.requests_per_minute is what Cloud Armor lets through from one address: 1 to 1000000."
  }
  validation {
    condition     = var.load_balancer == null ? true : length(setsubtract(var.load_balancer.direct_routes, keys(local.function_rows))) == 0
    error_message = "load_balancer.direct_routes may name only rows of functions/routes.json of kind `function`."
  }
}

variable "alert_emails" {
  description = "Who is told when an alert fires."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for each in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", each))])
    error_message = "alert_emails holds addresses such as ops@example.com."
  }
}

variable "availability_goal" {
  description = "Share of requests over 28 days that are not to end in a 5xx; the burn of what it leaves raises the alerts."
  type        = number
  default     = 0.995
  validation {
    condition     = var.availability_goal >= 0.9 && var.availability_goal < 1
    error_message = "The goal is from 0.9 up to, but not, 1: a goal of 1 leaves nothing to burn."
  }
}

variable "budget" {
  description = "A month's budget in the billing account's currency; mails go out at 50, 90 and 100 %, and when 100 % is forecast. null: none."
  type = object({
    billing_account = string
    monthly_amount  = number
  })
  default = null
  validation {
    condition     = var.budget == null ? true : can(regex("^[0-9A-F]{6}(-[0-9A-F]{6}){2}$", var.budget.billing_account))
    error_message = "budget.billing_account is like 012345-6789AB-CDEF01: `gcloud billing accounts list` shows it."
  }
  validation {
    condition     = var.budget == null ? true : var.budget.monthly_amount >= 1 && floor(var.budget.monthly_amount) == var.budget.monthly_amount
    error_message = "budget.monthly_amount is a whole number, at least 1."
  }
}

variable "cloud_build" {
  description = "Whether there is an account for Cloud Build, with the rights to deploy: cloudbuild.yaml runs as it."
  type        = bool
  default     = true
  validation {
    condition     = var.cloud_build || var.github_repository == ""
    error_message = "The workflows of github_repository deploy by Cloud Build: leave cloud_build true, or github_repository empty."
  }
}

variable "github_repository" {
  description = "The repository whose workflows may deploy, as owner/name; empty: none."
  type        = string
  default     = ""
  validation {
    condition     = var.github_repository == "" || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository is owner/name, without https://github.com/."
  }
}
