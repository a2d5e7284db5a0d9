# The worker on Cloud Run. batch.tf runs the same container as a job.

locals {
  accelerators = var.worker == null ? [] : compact([var.worker_size.accelerator])
  with_gpu     = length(local.accelerators) > 0
  worker_limits = merge(
    { cpu = tostring(var.worker_size.cpu), memory = "${var.worker_size.memory_gib}Gi" },
    local.with_gpu ? { "nvidia.com/gpu" = "1" } : {},
  )
  worker_environment = var.worker == null ? {} : merge(local.common_environment, local.jobs_environment, local.system_environments["task"], {
    HOST              = "0.0.0.0"
    RUN_AS_INTERNAL   = "1"
    OMNI_WORKER_MODEL = var.worker.model
    }, var.worker.weights == "" ? {} : {
    OMNI_WORKER_MODEL_PATH = "/weights/${var.worker.weights}"
  }, var.worker_settings)
  worker_variables = concat(
    [for name, value in local.worker_environment : { name = name, value = value, secret = null }],
    [for name in local.worker_secrets : { name = name, value = null, secret = local.secret_refs[name] }],
  )
  worker_volumes = try(var.worker.weights, "") == "" ? {} : { weights = google_storage_bucket.this["weights"].name }
}

resource "google_cloud_run_v2_service" "worker" {
  count               = var.worker == null ? 0 : 1
  name                = "${var.name}-worker"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_ALL" # the gateway and Cloud Tasks come from outside; only they may invoke it
  deletion_protection = false                 # it holds no data

  template {
    service_account                  = google_service_account.this["worker"].email
    timeout                          = "1740s" # a job's 25 min < these 29 < the 30 for which Cloud Tasks listens
    max_instance_request_concurrency = min(1000, 3 * var.worker_size.slots)
    gpu_zonal_redundancy_disabled    = local.with_gpu ? true : null
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    scaling {
      min_instance_count = var.worker_size.min_instances
      max_instance_count = var.worker_size.max_instances
    }

    dynamic "node_selector" {
      for_each = local.accelerators
      content {
        accelerator = node_selector.value
      }
    }

    containers {
      image = var.worker.image

      ports {
        container_port = 8080
      }

      resources {
        cpu_idle          = !local.with_gpu # a GPU is paid for by the instance
        startup_cpu_boost = true
        limits            = local.worker_limits
      }

      # A model may take five minutes and more to load; until then /ready is 503 and no request comes.
      startup_probe {
        initial_delay_seconds = local.with_gpu ? 120 : 0
        period_seconds        = 10
        timeout_seconds       = 5
        failure_threshold     = 24
        http_get {
          path = "/ready"
        }
      }

      # Not /ready: a store that is down for a while is no reason to load the model again.
      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 10
        failure_threshold = 4
        http_get {
          path = "/api/health"
        }
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

  traffic { # what gave the traffic back to an older revision holds until the next deployment only
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = 100
  }

  depends_on = [
    google_secret_manager_secret_iam_member.reader, google_secret_manager_secret_version.made, google_secret_manager_secret_version.caller,
    google_storage_bucket_iam_member.weights,
  ]
}
