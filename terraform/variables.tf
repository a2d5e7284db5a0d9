variable "project" {
  description = "Id of the Google Cloud project that everything is made in."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lower-case letters, digits and hyphens and begins with a letter. It is the id, not the name or the number: `gcloud projects list` shows it."
  }
}

variable "region" {
  description = "Region of everything that has one."
  type        = string
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region looks like europe-west4; a zone such as europe-west4-a is not one."
  }
}

variable "name" {
  description = "Begins the name of every resource, so that a project can hold more than one platform."
  type        = string
  default     = "omni"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,6}[a-z0-9]$", var.name))
    error_message = "The name has 2 to 8 lower-case letters, digits and hyphens and begins with a letter: service accounts leave no room for more."
  }
}

variable "environment" {
  description = "`dev` may be destroyed; `prod` protects its data from that."
  type        = string
  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "The environment is dev or prod."
  }
}

variable "functions_archive" {
  description = "The zip that `omni package` made, relative to this folder."
  type        = string
  default     = "../.omni/dist/functions.zip"
  validation {
    condition     = fileexists(var.functions_archive)
    error_message = "There is no functions archive at that place: run `omni package` first, or `omni deploy`, which does both."
  }
}

variable "gateway" {
  description = "Size of the gateway. `min_instances` 0 costs nothing while idle; 1 spares the first caller a cold start."
  type = object({
    cpu           = optional(number, 1)
    memory        = optional(string, "512Mi")
    concurrency   = optional(number, 250)
    min_instances = optional(number, 0)
    max_instances = optional(number, 20)
  })
  default = {}
  validation {
    condition     = var.gateway.concurrency >= 1 && var.gateway.concurrency <= 1000
    error_message = "An instance of the gateway takes 1 to 1000 requests at a time."
  }
  validation {
    condition     = contains([1, 2, 4, 8], var.gateway.cpu)
    error_message = "The gateway has 1, 2, 4 or 8 CPUs: with less than one, Cloud Run gives an instance a single request at a time."
  }
  validation {
    condition     = can(regex("^[1-9][0-9]*(Mi|Gi)$", var.gateway.memory))
    error_message = "gateway.memory is like 512Mi or 1Gi."
  }
  validation {
    condition     = var.gateway.min_instances <= var.gateway.max_instances && var.gateway.max_instances >= 1
    error_message = "The gateway needs at least one instance at most, and no more at least than at most."
  }
}

variable "secret_versions" {
  description = "Version of a secret to run with, by name; others run with the latest. A change makes new instances."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for version in values(var.secret_versions) : can(regex("^([1-9][0-9]*|latest)$", version))])
    error_message = "A secret's version is a number or `latest`."
  }
}

variable "caller_keys_version" {
  description = "Raise it to have the pair of keys that signs callers made anew, both at once: for a pair that leaked. docs/05-operate.md has the way without a refused call."
  type        = number
  default     = 1
  validation {
    condition     = var.caller_keys_version >= 1 && floor(var.caller_keys_version) == var.caller_keys_version
    error_message = "caller_keys_version is a whole number from 1."
  }
}

variable "revoked_work" {
  description = "What becomes of jobs and batches whose key is revoked: `cancel` or `finish` (docs/30-keys-and-secrets.md)."
  type        = string
  default     = "cancel"
  validation {
    condition     = contains(["cancel", "finish"], var.revoked_work)
    error_message = "revoked_work is `cancel` or `finish`."
  }
}

variable "upstream_secrets" {
  description = "The keys of other upstreams, by the name of their secret (`api_key_env` in models.toml); `omni deploy` fills it in."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for name in var.upstream_secrets : can(regex("^[A-Z][A-Z0-9_]*$", name)) && !startswith(name, "OMNI_")])
    error_message = "A model's api_key_env is named in capital letters, digits and underscores, and does not begin with OMNI_."
  }
}

variable "own_secrets" {
  description = "More secrets you made yourself, by name: what a route of yours needs."
  type        = set(string)
  default     = []
  validation {
    condition     = !anytrue([for name in var.own_secrets : name == "API_KEYS" || startswith(name, "OMNI_")])
    error_message = "API_KEYS and whatever begins with OMNI_ is made here; own_secrets is for others."
  }
  validation {
    condition     = alltrue([for name in var.own_secrets : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "A secret is named as the environment variable that it becomes: capital letters, digits and underscores."
  }
}

variable "redis" {
  description = "Redis for limits and cache that all instances share. Without it each instance keeps its own part of a limit."
  type = object({
    memory_gb         = optional(number, 1)
    highly_available  = optional(bool, false)
    assumed_instances = optional(number, 1)
  })
  default = null
  validation {
    condition     = var.redis == null ? true : var.redis.memory_gb >= 1 && var.redis.memory_gb <= 300
    error_message = "Redis has 1 to 300 GB of memory."
  }
  validation {
    condition     = var.redis == null ? true : var.redis.assumed_instances >= 1
    error_message = "redis.assumed_instances is at least 1: as many instances share a limit while Redis was never reached."
  }
}

variable "firestore_location" {
  description = "Where the database lies: a region, or a multi-region such as eur3 or nam5. It can never be changed. Empty: the region."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^$|^[a-z]+-[a-z]+[0-9]+$|^eur3$|^nam[57]$", var.firestore_location))
    error_message = "firestore_location is a region such as europe-west4, one of the multi-regions eur3, nam5 and nam7, or empty for the platform's region."
  }
}

variable "retention_days" {
  description = "How long large inputs and results stay in their bucket."
  type        = number
  default     = 40
  validation {
    condition     = var.retention_days >= 7
    error_message = "Jobs may wait for a day and their results be fetched later: keep them 7 days at least."
  }
}
