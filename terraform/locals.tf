data "google_project" "this" {
  project_id = var.project
}

locals {
  rows          = { for row in jsondecode(file("${path.module}/../functions/routes.json")) : row.name => row }
  functions     = { for name, row in local.rows : name => row if !contains(["inference", "stream"], row.kind) }
  function_rows = { for name, row in local.rows : name => row if row.kind == "function" }
  schedules     = { for name, row in local.rows : name => row if row.kind == "schedule" }
  queue_targets = { for name, row in local.rows : name => row if row.kind == "task" }
  direct_routes = var.load_balancer == null ? toset([]) : var.load_balancer.direct_routes

  protected = var.environment == "prod"

  # Cloud Run's other address of a service holds the project's number and is known before the service is there.
  address_end = "${data.google_project.this.number}.${var.region}.run.app"
  routes_url  = "https://${var.name}-{name}-${local.address_end}"
  worker_url  = var.gke_worker == null ? "https://${var.name}-worker-${local.address_end}" : var.gke_worker.url

  workers = var.worker == null && var.gke_worker == null ? [] : ["worker"] # its account, wherever it runs

  # Service names take no underscores, and with the project's number they must fit into a label of a host name.
  service_names = { for name in concat(["gateway"], keys(local.functions)) : name => "${var.name}-${replace(name, "_", "-")}" }
}
