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
        for_each = local.accelerators
        content {
          accelerator = node_selector.value
        }
      }

      containers {
        image   = var.worker.image
        command = ["/venv/bin/python"]
        args    = ["-m", "jobs.ml_worker.batch"]

        resources {
          limits = local.worker_limits
        }

        dynamic "env" {
          for_each = local.worker_variables
          content {
            name  = env.value.name
            value = env.value.value

            dynamic "value_source" {
              for_each = env.value.secret[*]
              content {
                secret_key_ref {
                  secret  = value_source.value
                  version = lookup(var.secret_versions, env.value.name, "latest")
                }
              }
            }
          }
        }

        dynamic "volume_mounts" {
          for_each = local.worker_volumes
          content {
            name       = volume_mounts.key
            mount_path = "/${volume_mounts.key}"
          }
        }
      }

      dynamic "volumes" {
        for_each = local.worker_volumes
        content {
          name = volumes.key
          gcs {
            bucket        = volumes.value
            read_only     = true
            mount_options = ["enable-buffered-read", "metadata-cache-ttl-secs=-1"]
          }
        }
      }
    }
  }

  depends_on = [
    google_secret_manager_secret_iam_member.reader, google_secret_manager_secret_version.made, google_secret_manager_secret_version.caller,
    google_storage_bucket_iam_member.weights,
  ]
}
