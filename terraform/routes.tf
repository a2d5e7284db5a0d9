# Every row of the manifest that is a function of its own.

resource "google_cloudfunctions2_function" "route" {
  # checkov:skip=CKV_GCP_124: the gateway's calls come from outside the network, which costs nothing; only accounts that may invoke get in
  for_each    = local.functions
  name        = local.service_names[each.key]
  location    = var.region
  description = each.value.summary

  build_config {
    runtime           = local.runtime
    entry_point       = each.key
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
    service_account_email            = google_service_account.this[each.key].email
    all_traffic_on_latest_revision   = true # also after traffic was given back to an older one
    available_cpu                    = "1"  # less gives an instance a single request at a time
    available_memory                 = try(each.value.memory, "512Mi")
    timeout_seconds                  = try(each.value.timeout_s, 60)
    max_instance_count               = try(each.value.max_instances, 10)
    max_instance_request_concurrency = try(each.value.concurrency, 8)
    ingress_settings                 = contains(local.direct_routes, each.key) ? "ALLOW_INTERNAL_AND_GCLB" : "ALLOW_ALL"

    environment_variables = merge(
      local.common_environment,
      contains(local.of_jobs, each.key) ? local.jobs_environment : {},
      contains(local.direct_routes, each.key) ? local.public_environment : { RUN_AS_INTERNAL = "1" },
      lookup(local.system_environments, each.value.kind, {}),
      { THREADS = tostring(try(each.value.concurrency, 8)) },
    )
    direct_vpc_egress = var.redis != null && contains(local.direct_routes, each.key) ? "VPC_EGRESS_PRIVATE_RANGES_ONLY" : null

    dynamic "direct_vpc_network_interface" {
      for_each = contains(local.direct_routes, each.key) ? google_compute_subnetwork.egress : []
      content {
        network    = direct_vpc_network_interface.value.network
        subnetwork = direct_vpc_network_interface.value.id
      }
    }

    dynamic "secret_environment_variables" {
      for_each = local.route_secrets[each.key]
      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = local.secret_refs[secret_environment_variables.key]
        version    = lookup(var.secret_versions, secret_environment_variables.key, "latest")
      }
    }
  }

  depends_on = [
    google_secret_manager_secret_iam_member.reader, google_secret_manager_secret_version.made, google_secret_manager_secret_version.caller,
    google_secret_manager_secret_version.redis_password, google_storage_bucket_iam_member.source,
    google_artifact_registry_repository_iam_member.build, google_project_iam_member.build_log,
  ]
}
