variable "worker" {
  description = "The worker that runs your own model; null: none yet, or only upstreams elsewhere. `image` has a digest or a tag."
  type = object({
    image         = string
    model         = string
    accelerator   = optional(string, "nvidia-l4")
    cpu           = optional(number, 4)
    memory_gib    = optional(number, 16)
    slots         = optional(number, 32)
    min_instances = optional(number, 0)
    max_instances = optional(number, 1)
    weights       = optional(string, "")
    settings      = optional(map(string), {})
  })
  default = null

  validation {
    condition     = var.worker == null ? true : can(regex("^[a-z0-9.-]+/.+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_.-]+)$", var.worker.image))
    error_message = "worker.image is like europe-west4-docker.pkg.dev/my-project/omni/ml-worker@sha256:… or …:tag, as `omni deploy` builds it."
  }
  validation {
    condition     = var.worker == null ? true : contains(["", "nvidia-l4", "nvidia-rtx-pro-6000"], var.worker.accelerator)
    error_message = "worker.accelerator is nvidia-l4, nvidia-rtx-pro-6000, or empty for a worker on CPUs."
  }
  validation {
    condition     = var.worker == null ? true : contains(lookup(local.gpu_regions, var.worker.accelerator, [var.region]), var.region)
    error_message = "Cloud Run has no such GPU in this region. nvidia-l4: asia-southeast1, europe-west1, europe-west4, us-east4, and us-central1 by invitation; nvidia-rtx-pro-6000: asia-southeast1, europe-west4."
  }
  validation {
    condition     = var.worker == null ? true : var.worker.accelerator != "nvidia-l4" || (var.worker.cpu >= 4 && var.worker.memory_gib >= 16)
    error_message = "A worker with an L4 needs at least 4 CPUs and 16 GiB of memory."
  }
  validation {
    condition     = var.worker == null ? true : var.worker.accelerator != "nvidia-rtx-pro-6000" || (var.worker.cpu >= 20 && var.worker.memory_gib >= 80)
    error_message = "A worker with an RTX PRO 6000 needs at least 20 CPUs and 80 GiB of memory."
  }
  validation {
    condition     = var.worker == null ? true : var.worker.max_instances >= 1 && var.worker.min_instances <= var.worker.max_instances
    error_message = "worker.max_instances is at least 1 and not below min_instances: it is also what bounds the bill."
  }
  validation {
    condition     = var.worker == null ? true : var.worker.slots >= 1 && var.worker.slots <= 1000
    error_message = "worker.slots is 1 to 1000: what one instance runs at the same time."
  }
}

locals {
  gpu_regions = {
    nvidia-l4           = ["asia-southeast1", "europe-west1", "europe-west4", "us-central1", "us-east4"]
    nvidia-rtx-pro-6000 = ["asia-southeast1", "europe-west4"]
  }
}
