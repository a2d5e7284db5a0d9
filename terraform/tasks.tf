locals {
  # Jobs that one tenant may have running: nine tenths of the slots there can be; the rest is for callers who wait.
  worker_jobs = length(local.workers) == 0 ? 1 : max(1, floor(0.9 * var.worker_size.slots * var.worker_size.max_instances))
  # Dispatches at the same time: other tenants' jobs and wake-ups that wait find room (job_deliveries in shared/core/queues.py).
  worker_capacity = local.worker_jobs + ceil(local.worker_jobs / 8) + ceil(local.worker_jobs / 2)
  queues = {
    gpu-hi  = local.worker_capacity
    gpu-lo  = local.worker_capacity
    cpu     = local.worker_capacity
    webhook = 100
  }
}

resource "google_cloud_tasks_queue" "this" {
  for_each = local.queues
  name     = "${var.name}-${each.key}"
  location = var.region

  rate_limits {
    max_dispatches_per_second = 500
    max_concurrent_dispatches = min(5000, each.value)
  }

  # A task is only a wake-up, and the sweeper sends lost ones: it need not be tried for long.
  retry_config {
    max_attempts       = 100
    max_retry_duration = "86400s"
    min_backoff        = "1s"
    max_backoff        = "60s"
    max_doublings      = 6
  }

  depends_on = [google_project_service.this]
}
