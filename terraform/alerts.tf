locals {
  gateway_filter  = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${local.service_names["gateway"]}\""
  queue_filter    = "resource.type=\"cloud_tasks_queue\" AND resource.labels.queue_id=monitoring.regex.full_match(\"${join("|", [for queue in google_cloud_tasks_queue.this : queue.name])}\")"
  schedule_filter = "resource.labels.job_id=monitoring.regex.full_match(\"${join("|", [for name in keys(local.schedules) : local.service_names[name]])}\")"

  burn = "select_slo_burn_rate(\"${google_monitoring_slo.availability.id}\", %q)"

  # Each has a page of the same name in docs/05-operate.md, and that page's heading is `anchor`.
  alerts = merge({
    fast-burn = {
      title    = "Requests fail fast"
      severity = "CRITICAL"
      all = [ # 2 % of a month's allowance in an hour
        { filter = format(local.burn, "3600s"), above = 14.4, during = "0s", aligner = null, period = null, reducer = null },
        { filter = format(local.burn, "300s"), above = 14.4, during = "0s", aligner = null, period = null, reducer = null },
      ]
    }
    slow-burn = {
      title    = "Requests fail slowly"
      severity = "WARNING"
      all = [ # 5 % of a month's allowance in six hours
        { filter = format(local.burn, "21600s"), above = 6, during = "0s", aligner = null, period = null, reducer = null },
        { filter = format(local.burn, "1800s"), above = 6, during = "0s", aligner = null, period = null, reducer = null },
      ]
    }
    queue-age = {
      title    = "Jobs wait too long in a queue"
      severity = "WARNING"
      all = [
        {
          filter = "metric.type=\"cloudtasks.googleapis.com/queue/task_attempt_delays\" AND ${local.queue_filter}"
          above  = 600000 # ms after a task was due
          during = "300s", aligner = "ALIGN_PERCENTILE_95", period = "300s", reducer = "REDUCE_MAX"
        },
      ]
    }
    dead-letters = {
      title    = "Jobs have used up their attempts"
      severity = "WARNING"
      all = [
        {
          filter = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.dead_letters.name}\" AND resource.type=\"cloud_run_revision\""
          above  = 0
          during = "0s", aligner = "ALIGN_SUM", period = "300s", reducer = "REDUCE_SUM"
        },
      ]
    }
    documents-set-aside = {
      title    = "Documents were set aside"
      severity = "WARNING"
      all = [
        {
          filter = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.set_aside.name}\" AND resource.type=\"cloud_run_revision\""
          above  = 0
          during = "0s", aligner = "ALIGN_SUM", period = "300s", reducer = "REDUCE_SUM"
        },
      ]
    }
    schedule-failed = {
      title    = "A schedule fails"
      severity = "CRITICAL"
      all = [
        {
          filter = "metric.type=\"logging.googleapis.com/log_entry_count\" AND resource.type=\"cloud_scheduler_job\" AND ${local.schedule_filter} AND metric.labels.severity=\"ERROR\""
          above  = 4 # in ten minutes: the sweeper and the reaper run each minute
          during = "0s", aligner = "ALIGN_SUM", period = "600s", reducer = "REDUCE_SUM"
        },
      ]
    }
    gateway-full = {
      title    = "The gateway has as many instances as it may have"
      severity = "WARNING"
      all = [
        {
          filter = "metric.type=\"run.googleapis.com/container/instance_count\" AND metric.labels.state=\"active\" AND ${local.gateway_filter}"
          above  = var.gateway.max_instances - 0.5
          during = "300s", aligner = "ALIGN_MAX", period = "60s", reducer = "REDUCE_SUM"
        },
      ]
    }
    }, var.worker == null ? {} : {
    worker-failing = {
      title    = "The worker answers with errors"
      severity = "CRITICAL"
      all = [
        {
          filter = "metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\" AND resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-worker\""
          above  = 0.1 # a second
          during = "300s", aligner = "ALIGN_RATE", period = "60s", reducer = "REDUCE_SUM"
        },
      ]
    }
    }, var.redis == null ? {} : {
    redis-full = {
      title    = "Redis is nearly full"
      severity = "WARNING"
      all = [
        {
          filter = "metric.type=\"redis.googleapis.com/stats/memory/usage_ratio\" AND resource.type=\"redis_instance\" AND resource.labels.instance_id=\"projects/${var.project}/locations/${var.region}/instances/${var.name}\""
          above  = 0.9
          during = "600s", aligner = "ALIGN_MEAN", period = "60s", reducer = "REDUCE_MAX"
        },
      ]
    }
  })
}

resource "google_monitoring_notification_channel" "email" {
  for_each     = var.alert_emails
  display_name = each.key
  type         = "email"
  labels       = { email_address = each.key }
  depends_on   = [google_project_service.this]
}

resource "google_monitoring_service" "gateway" {
  service_id   = local.service_names["gateway"]
  display_name = "The gateway"
  basic_service {
    service_type = "CLOUD_RUN"
    service_labels = {
      service_name = local.service_names["gateway"]
      location     = var.region
    }
  }
  depends_on = [google_project_service.this]
}

resource "google_monitoring_slo" "availability" {
  service             = google_monitoring_service.gateway.service_id
  slo_id              = "availability"
  display_name        = "Requests that do not end in a 5xx"
  goal                = var.availability_goal
  rolling_period_days = 28
  request_based_sli {
    good_total_ratio {
      total_service_filter = "metric.type=\"run.googleapis.com/request_count\" AND ${local.gateway_filter}"
      bad_service_filter   = "metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"5xx\" AND ${local.gateway_filter}"
    }
  }
}

resource "google_logging_metric" "dead_letters" {
  name        = "${var.name}-dead-letters"
  description = "Jobs that failed for good because their attempts were used up."
  filter      = "resource.type=\"cloud_run_revision\" AND jsonPayload.message=\"job is a dead letter\""
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
  depends_on = [google_project_service.this]
}

resource "google_logging_metric" "set_aside" {
  name        = "${var.name}-documents-set-aside"
  description = "Documents that were set aside, because round after round of a schedule failed on them."
  filter      = "resource.type=\"cloud_run_revision\" AND jsonPayload.message=\"document is set aside\""
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "this" {
  for_each              = local.alerts
  display_name          = "${var.name}: ${each.value.title}"
  severity              = each.value.severity
  combiner              = "AND"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  dynamic "conditions" {
    for_each = each.value.all
    content {
      display_name = each.value.title
      condition_threshold {
        filter          = conditions.value.filter
        comparison      = "COMPARISON_GT"
        threshold_value = conditions.value.above
        duration        = conditions.value.during

        dynamic "aggregations" {
          for_each = conditions.value.aligner == null ? [] : [conditions.value]
          content {
            alignment_period     = aggregations.value.period
            per_series_aligner   = aggregations.value.aligner
            cross_series_reducer = aggregations.value.reducer
            group_by_fields      = startswith(each.key, "queue-") ? ["resource.label.queue_id"] : []
          }
        }
      }
    }
  }

  documentation {
    subject   = each.value.title
    content   = "What it means and what to do: docs/05-operate.md#${each.key}"
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "86400s"
  }
}
