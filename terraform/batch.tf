# The worker as a job that works off batches and ends: `gcloud run jobs execute omni-batch --tasks=4`. Batches also go on
# without it, in the service's spare slots; this is for many lines at once.

resource "google_cloud_run_v2_job" "batch" {
  count               = var.worker == null ? 0 : 1
  name                = "${var.name}-batch"
  location            = var.region
  deletion_protection = false # it holds no data

  template {
    template {
      service_account               = google_service_account.this["worker"].email
      timeout                       = "3600s" # the most with a GPU; what is left is taken up by the next try
      max_retries                   = 10      # it exits with 75 when it is told to stop
      gpu_zonal_redundancy_disabled = local.with_gpu ? true : null
      execution_environment         = "EXECUTION_ENVIRONMENT_GEN2"

      dynamic "node_selector" {
        for_each = local.with_gpu ? [var.worker.accelerator] : []
        content {
          accelerator = node_selector.value
        }
      }

      containers {
        image   = var.worker.image
        command = ["/venv/bin/python"]
        args    = ["-m", "jobs.ml_worker.batch"]

        resources {
          limits = merge(
            { cpu = tostring(var.worker.cpu), memory = "${var.worker.memory_gib}Gi" },
            local.with_gpu ? { "nvidia.com/gpu" = "1" } : {},
          )
        }

        dynamic "env" {
          for_each = local.worker_environment
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = local.worker_secrets
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = local.secret_refs[env.key]
                version = lookup(var.secret_versions, env.key, "latest")
              }
            }
          }
        }

        dynamic "volume_mounts" {
          for_each = var.worker.weights == "" ? [] : ["weights"]
          content {
            name       = volume_mounts.value
            mount_path = "/weights"
          }
        }
      }

      dynamic "volumes" {
        for_each = var.worker.weights == "" ? [] : ["weights"]
        content {
          name = volumes.value
          gcs {
            bucket    = google_storage_bucket.this["weights"].name
            read_only = true
          }
        }
      }
    }
  }

  depends_on = [
    google_secret_manager_secret_iam_member.reader, google_secret_manager_secret_version.made,
    google_storage_bucket_iam_member.weights,
  ]
}
