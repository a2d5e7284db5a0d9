variable "worker" {
  description = "The worker that runs your own model; null: none yet, or only upstreams elsewhere. `omni deploy --image` fills it in. `image` has a digest or a tag; `weights` is where they are in their bucket, empty: in the image."
  type = object({
    image   = string
    model   = string
    weights = optional(string, "")
  })
  default = null

  validation {
    condition     = var.worker == null ? true : can(regex("^[a-z0-9.-]+/.+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_.-]+)$", var.worker.image))
    error_message = "worker.image is like europe-west4-docker.pkg.dev/my-project/omni/ml-worker@sha256:… or …:tag, as Cloud Build pushes it."
  }
  validation {
    condition     = var.worker == null ? true : var.worker.model != ""
    error_message = "worker.model is the id of a model in models.toml; a worker serves one."
  }
  validation {
    condition     = var.worker == null ? true : can(regex("^$|^[^/].*[^/]$|^[^/]$", var.worker.weights))
    error_message = "worker.weights is a folder or file in the weights' bucket, such as my-model, without a slash at its ends."
  }
}

variable "worker_size" {
  description = "What an instance of the worker has, and how many there may be; `slots` is what one runs at the same time."
  type = object({
    accelerator   = optional(string, "nvidia-l4")
    cpu           = optional(number, 4)
    memory_gib    = optional(number, 16)
    slots         = optional(number, 32)
    min_instances = optional(number, 0)
    max_instances = optional(number, 1)
  })
  default = {}

  validation {
    condition     = contains(["", "nvidia-l4", "nvidia-rtx-pro-6000"], var.worker_size.accelerator)
    error_message = "worker_size.accelerator is nvidia-l4, nvidia-rtx-pro-6000, or empty for a worker on CPUs."
  }
  validation {
    condition     = var.worker == null ? true : contains(lookup(local.gpu_regions, var.worker_size.accelerator, [var.region]), var.region)
    error_message = "Cloud Run has no such GPU in this region. nvidia-l4: asia-southeast1, europe-west1, europe-west4, us-east4, and us-central1 by invitation; nvidia-rtx-pro-6000: asia-southeast1, europe-west4."
  }
  validation {
    condition     = var.worker_size.accelerator != "nvidia-l4" || (var.worker_size.cpu >= 4 && var.worker_size.memory_gib >= 16)
    error_message = "A worker with an L4 needs at least 4 CPUs and 16 GiB of memory."
  }
  validation {
    condition     = var.worker_size.accelerator != "nvidia-rtx-pro-6000" || (var.worker_size.cpu >= 20 && var.worker_size.memory_gib >= 80)
    error_message = "A worker with an RTX PRO 6000 needs at least 20 CPUs and 80 GiB of memory."
  }
  validation {
    condition     = var.worker_size.max_instances >= 1 && var.worker_size.min_instances <= var.worker_size.max_instances
    error_message = "worker_size.max_instances is at least 1 and not below min_instances: it is also what bounds the bill."
  }
  validation {
    condition     = var.worker_size.slots >= 1 && var.worker_size.slots <= 1000
    error_message = "worker_size.slots is 1 to 1000: what one instance runs at the same time."
  }
}

variable "worker_settings" {
  description = "More of the worker's settings, by their variables in docs/reference.md, such as OMNI_WORKER_TOOL_PARSER."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for name in keys(var.worker_settings) : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "worker_settings is by the names of environment variables: capital letters, digits and underscores (docs/reference.md)."
  }
  validation {
    condition     = !anytrue([for name in keys(var.worker_settings) : contains(["PORT", "RUN_AS_INTERNAL", "OMNI_TOKEN_CHECK", "OMNI_SYSTEM_ACCOUNTS"], name)])
    error_message = "PORT is Cloud Run's to set, and who may call the worker is not a setting: leave PORT, RUN_AS_INTERNAL, OMNI_TOKEN_CHECK and OMNI_SYSTEM_ACCOUNTS out of worker_settings."
  }
}

variable "gke_worker" {
  description = "A worker on GKE (deploy/k8s) in place of one on Cloud Run: where it answers, for the gateway and for Cloud Tasks, and the Kubernetes account it runs as."
  type = object({
    url     = string
    account = optional(string, "omni/worker")
  })
  default = null

  validation {
    condition     = var.gke_worker == null ? true : can(regex("^https://[a-z0-9.-]+(:[0-9]+)?$", var.gke_worker.url))
    error_message = "gke_worker.url is like https://worker.example.com, without a path: Cloud Tasks delivers to it from outside."
  }
  validation {
    condition     = var.gke_worker == null ? true : can(regex("^[a-z0-9-]+/[a-z0-9.-]+$", var.gke_worker.account))
    error_message = "gke_worker.account is NAMESPACE/NAME of a Kubernetes service account."
  }
  validation {
    condition     = var.gke_worker == null || var.worker == null
    error_message = "The worker is on Cloud Run (worker) or on GKE (gke_worker), not on both."
  }
}

locals {
  gpu_regions = {
    nvidia-l4           = ["asia-southeast1", "europe-west1", "europe-west4", "us-central1", "us-east4"]
    nvidia-rtx-pro-6000 = ["asia-southeast1", "europe-west4"]
  }
}
