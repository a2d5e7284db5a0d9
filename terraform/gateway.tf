# One archive holds the code of all functions; each is told which of them it is by its entry point.

resource "google_storage_bucket_object" "functions" {
  name   = "functions/${filesha256(var.functions_archive)}.zip"
  bucket = google_storage_bucket.this["source"].name
  source = var.functions_archive
}

locals {
  runtime = "python313"

  common_environment = {
    OMNI_ENV                = "production"
    OMNI_PROJECT            = var.project
    OMNI_STATE              = "firestore"
    OMNI_FIRESTORE_DATABASE = google_firestore_database.this.name
    OMNI_BUCKET             = google_storage_bucket.this["blobs"].name
  }
  # For whatever makes jobs, ends them or tells of them.
  jobs_environment = {
    OMNI_QUEUE            = "cloudtasks"
    OMNI_LOCATION         = var.region
    OMNI_QUEUE_PREFIX     = "${var.name}-"
    OMNI_TASKS_ACCOUNT    = "${local.account_ids["tasks"]}@${var.project}.iam.gserviceaccount.com"
    OMNI_ROUTES_URL       = local.routes_url
    OMNI_WORKER_URL       = local.worker_url
    OMNI_WORKER_SLOTS     = length(local.workers) == 0 ? "" : tostring(var.worker_size.slots)
    OMNI_REVOKED_WORK     = var.revoked_work
    OMNI_WORKER_INSTANCES = length(local.workers) == 0 ? "" : tostring(var.worker_size.max_instances)
  }
  # Who runs tasks and schedules. Only accounts that may invoke them get through to these services, and Cloud Run takes
  # the signature off the tokens that it has checked.
  system_environments = {
    for kind, account in { task = "tasks", schedule = "scheduler" } : kind => {
      OMNI_SYSTEM_ACCOUNTS      = "${local.account_ids[account]}@${var.project}.iam.gserviceaccount.com"
      OMNI_TOKEN_CHECK          = "platform"
    }
  }
  redis_environment = var.redis == null ? {} : {
    OMNI_REDIS_URL         = "redis://${google_redis_instance.this[0].host}:${google_redis_instance.this[0].port}/0"
    OMNI_ASSUMED_INSTANCES = tostring(var.redis.assumed_instances)
  }
  public_environment = merge(local.redis_environment, {
    RUN_AS_INTERNAL      = "0"
    OMNI_TRUSTED_PROXIES = var.load_balancer == null ? "1" : "2"
  })
  gateway_environment = merge(local.common_environment, local.public_environment, {
    FUNCTION_USE_ASGI = "true" # the Functions Framework's own switch, read when it starts
    OMNI_IDENTITY     = "metadata"
    OMNI_ROUTES_URL   = local.routes_url
    OMNI_WORKER_URL   = local.worker_url
  })
  # The longest of the routes, and time to tell that it took too long.
  gateway_timeout_s = max([for row in values(local.rows) : try(row.timeout_s, 60)]...) + 30

  # By name of a secret: its id within the project, and the version to run with.
  secret_refs = merge(
    { for name, secret in google_secret_manager_secret.this : name => secret.secret_id },
    { for name in local.own_secrets : name => data.google_secret_manager_secret.own[name].secret_id },
  )
}

resource "google_cloudfunctions2_function" "gateway" {
  name        = local.service_names["gateway"]
  location    = var.region
  description = "The one public address."

  build_config {
    runtime           = local.runtime
    entry_point       = "gateway"
    service_account   = google_service_account.this["build"].id
    docker_repository = google_artifact_registry_repository.this.id
    source {
      storage_source {
        bucket = google_storage_bucket.this["source"].name
        object = google_storage_bucket_object.functions.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.this["gateway"].email
    all_traffic_on_latest_revision   = true # also after traffic was given back to an older one
    available_cpu                    = tostring(var.gateway.cpu)
    available_memory                 = var.gateway.memory
    timeout_seconds                  = local.gateway_timeout_s
    min_instance_count               = var.gateway.min_instances
    max_instance_count               = var.gateway.max_instances
    max_instance_request_concurrency = var.gateway.concurrency
    ingress_settings                 = var.load_balancer == null ? "ALLOW_ALL" : "ALLOW_INTERNAL_AND_GCLB"
    environment_variables            = local.gateway_environment
    direct_vpc_egress                = var.redis == null ? null : "VPC_EGRESS_PRIVATE_RANGES_ONLY"

    dynamic "direct_vpc_network_interface" {
      for_each = google_compute_subnetwork.egress
      content {
        network    = direct_vpc_network_interface.value.network
        subnetwork = direct_vpc_network_interface.value.id
      }
    }

    dynamic "secret_environment_variables" {
      for_each = local.gateway_secrets
      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = local.secret_refs[secret_environment_variables.key]
        version    = lookup(var.secret_versions, secret_environment_variables.key, "latest")
      }
    }
  }

  lifecycle {
    precondition {
      condition     = max([for name in values(local.service_names) : length("${name}-${data.google_project.this.number}")]...) <= 63
      error_message = "A route's name is too long for a host name: name, project number and hyphens take 63 characters at most."
    }
  }

  depends_on = [
    google_secret_manager_secret_iam_member.reader, google_secret_manager_secret_version.made, google_secret_manager_secret_version.caller,
    google_secret_manager_secret_version.redis_password, google_storage_bucket_iam_member.source,
    google_artifact_registry_repository_iam_member.build, google_project_iam_member.build_log,
  ]
}
