# `terraform test`, without an account: what must hold whatever is asked for. More is in tests/terraform/.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

variables {
  project     = "demo-project-1"
  region      = "europe-west4"
  environment = "dev"
}

run "costs_nothing_while_idle" {
  command = plan

  assert {
    condition     = google_cloudfunctions2_function.gateway.service_config[0].min_instance_count == 0
    error_message = "The gateway scales to zero."
  }
  assert {
    condition     = length(google_redis_instance.this) == 0 && length(google_compute_global_forwarding_rule.https) == 0
    error_message = "Nothing that is paid for by the hour is made unless it is asked for."
  }
}

run "the_worker_scales_to_zero" {
  command = plan
  variables {
    worker = {
      image = "europe-west4-docker.pkg.dev/demo-project-1/omni/ml-worker:1"
      model = "a-model"
    }
  }

  assert {
    condition     = google_cloud_run_v2_service.worker[0].template[0].scaling[0].min_instance_count == 0
    error_message = "A GPU that nobody uses is not paid for."
  }
  assert {
    condition     = google_cloud_tasks_queue.this["gpu-hi"].rate_limits[0].max_concurrent_dispatches == 46
    error_message = "Nine tenths of the worker's slots take jobs; the rest is for callers who wait."
  }
}

run "makes_all_of_it" {
  command = apply # by the mock: every reference resolves

  assert {
    condition     = output.address == "https://omni-gateway-123456789012.europe-west4.run.app"
    error_message = "The address is known before the gateway is there."
  }
  assert {
    condition     = output.admin_key_secret == "omni-API_KEYS"
    error_message = "The first key's secret is told."
  }
}
