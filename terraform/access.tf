# Who may do what. Rows of the manifest get their access by their scope: keys and models need the database alone,
# jobs and schedules the queues and the blobs too.

locals {
  # Revoking a key ends its jobs.
  of_jobs       = [for name, row in local.functions : name if contains(["jobs", "system"], row.scope) || name == "keys_revoke"]
  store_users   = concat(["gateway"], keys(local.functions), local.workers)
  queue_users   = concat(local.of_jobs, local.workers)
  blob_users    = concat(["gateway"], local.of_jobs, local.workers)
  called        = concat(keys(local.functions), var.worker == null ? [] : ["worker"])
  queue_members = { for pair in setproduct(local.queue_users, keys(local.queues)) : "${pair[0]}/${pair[1]}" => pair }
}

resource "google_project_iam_member" "store" {
  for_each = toset(local.store_users)
  project  = var.project
  role     = "roles/datastore.user"
  member   = google_service_account.this[each.key].member

  condition {
    title      = "${var.name} only"
    expression = "resource.name == \"projects/${var.project}/databases/${google_firestore_database.this.name}\""
  }
}

resource "google_storage_bucket_iam_member" "blobs" {
  for_each = toset(local.blob_users)
  bucket   = google_storage_bucket.this["blobs"].name
  role     = "roles/storage.objectUser"
  member   = google_service_account.this[each.key].member
}

resource "google_storage_bucket_iam_member" "weights" {
  for_each = toset(local.workers)
  bucket   = google_storage_bucket.this["weights"].name
  role     = "roles/storage.objectViewer"
  member   = google_service_account.this[each.key].member
}

resource "google_cloud_tasks_queue_iam_member" "enqueuer" {
  for_each = local.queue_members
  name     = google_cloud_tasks_queue.this[each.value[1]].name
  location = var.region
  role     = "roles/cloudtasks.enqueuer"
  member   = google_service_account.this[each.value[0]].member
}

resource "google_service_account_iam_member" "tasks" { # a task is sent in the name of the account `tasks`
  for_each           = toset(local.queue_users)
  service_account_id = google_service_account.this["tasks"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this[each.key].member
}

# The gateway may call functions and worker, the scheduler the schedules, Cloud Tasks the worker and the task functions; nobody else anything.

resource "google_cloud_run_v2_service_iam_member" "gateway" {
  for_each = toset(local.called)
  name     = each.key == "worker" ? google_cloud_run_v2_service.worker[0].name : google_cloudfunctions2_function.route[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.this["gateway"].member
}

resource "google_cloud_run_v2_service_iam_member" "scheduler" {
  for_each = local.schedules
  name     = google_cloudfunctions2_function.route[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.this["scheduler"].member
}

resource "google_cloud_run_v2_service_iam_member" "tasks" {
  for_each = toset(concat(keys(local.queue_targets), var.worker == null ? [] : ["worker"]))
  name     = each.key == "worker" ? google_cloud_run_v2_service.worker[0].name : google_cloudfunctions2_function.route[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.this["tasks"].member
}

# The gateway checks keys itself, so everyone may reach it; so may the functions the load balancer sends to directly.

resource "google_cloud_run_v2_service_iam_member" "public" {
  for_each = setunion(["gateway"], local.direct_routes)
  name     = each.key == "gateway" ? google_cloudfunctions2_function.gateway.name : google_cloudfunctions2_function.route[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_service_account_iam_member" "kubernetes" { # the worker's pods are its account
  count              = var.gke_worker == null ? 0 : 1
  service_account_id = google_service_account.this["worker"].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${var.gke_worker.account}]"
}

# What builds the functions reads their source and writes their images and its log.

resource "google_storage_bucket_iam_member" "source" {
  bucket = google_storage_bucket.this["source"].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.this["build"].member
}

resource "google_artifact_registry_repository_iam_member" "build" {
  repository = google_artifact_registry_repository.this.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.this["build"].member
}

resource "google_project_iam_member" "build_log" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.this["build"].member
}
