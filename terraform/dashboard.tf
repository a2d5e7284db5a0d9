locals {
  worker_filter = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-worker\""
  routes_filter = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=monitoring.regex.full_match(\"${join("|", values(local.service_names))}\")"

  charts = [
    { title = "Requests a second, by status", filter = "metric.type=\"run.googleapis.com/request_count\" AND ${local.gateway_filter}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.label.response_code_class"] },
    { title = "Latency of the gateway, 95th percentile (ms)", filter = "metric.type=\"run.googleapis.com/request_latencies\" AND ${local.gateway_filter}", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", by = [] },
    { title = "Requests a second, by function", filter = "metric.type=\"run.googleapis.com/request_count\" AND ${local.routes_filter}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["resource.label.service_name"] },
    { title = "Instances", filter = "metric.type=\"run.googleapis.com/container/instance_count\" AND ${local.routes_filter}", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = ["resource.label.service_name"] },
    { title = "Instances of the worker", filter = "metric.type=\"run.googleapis.com/container/instance_count\" AND ${local.worker_filter}", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = ["metric.label.state"] },
    { title = "Use of the worker's GPU", filter = "metric.type=\"run.googleapis.com/container/gpu/utilizations\" AND ${local.worker_filter}", aligner = "ALIGN_PERCENTILE_50", reducer = "REDUCE_MEAN", by = [] },
    { title = "Start of the worker, 95th percentile (ms)", filter = "metric.type=\"run.googleapis.com/container/startup_latencies\" AND ${local.worker_filter}", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", by = [] },
    { title = "Tasks in the queues", filter = "metric.type=\"cloudtasks.googleapis.com/queue/depth\" AND ${local.queue_filter}", aligner = "ALIGN_MEAN", reducer = "REDUCE_SUM", by = ["resource.label.queue_id"] },
    { title = "How late tasks are, 95th percentile (ms)", filter = "metric.type=\"cloudtasks.googleapis.com/queue/task_attempt_delays\" AND ${local.queue_filter}", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", by = ["resource.label.queue_id"] },
    { title = "Dead letters", filter = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.dead_letters.name}\" AND resource.type=\"cloud_run_revision\"", aligner = "ALIGN_SUM", reducer = "REDUCE_SUM", by = [] },
    { title = "Firestore reads a second", filter = "metric.type=\"firestore.googleapis.com/document/read_ops_count\" AND resource.type=\"firestore.googleapis.com/Database\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = [] },
    { title = "Firestore writes a second", filter = "metric.type=\"firestore.googleapis.com/document/write_ops_count\" AND resource.type=\"firestore.googleapis.com/Database\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = [] },
  ]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = var.name
    mosaicLayout = {
      columns = 12
      tiles = [for position, chart in local.charts : {
        xPos   = 6 * (position % 2)
        yPos   = 4 * floor(position / 2)
        width  = 6
        height = 4
        widget = {
          title = chart.title
          xyChart = {
            dataSets = [{
              plotType = "LINE"
              timeSeriesQuery = {
                timeSeriesFilter = {
                  filter = chart.filter
                  aggregation = {
                    alignmentPeriod    = "60s"
                    perSeriesAligner   = chart.aligner
                    crossSeriesReducer = chart.reducer
                    groupByFields      = chart.by
                  }
                }
              }
            }]
          }
        }
      }]
    }
  })
  depends_on = [google_project_service.this]
}
