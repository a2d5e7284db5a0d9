output "address" {
  description = "Where the platform answers."
  value       = var.load_balancer == null ? "https://${local.service_names["gateway"]}-${local.address_end}" : "https://${var.load_balancer.domain}"
}

output "admin_key_secret" {
  description = "The secret that holds the first key, which may do everything: `gcloud secrets versions access latest --secret NAME`."
  value       = google_secret_manager_secret.this["API_KEYS"].secret_id
}

output "load_balancer_address" {
  description = "What the domain's A record must say; null without a load balancer."
  value       = one(google_compute_global_address.this[*].address)
}

output "image_repository" {
  description = "Where the worker's image is pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.this.repository_id}"
}

output "weights_bucket" {
  description = "Where models are put for `worker.weights`."
  value       = google_storage_bucket.this["weights"].name
}

output "functions" {
  description = "The function of each row of the manifest."
  value       = { for name, function in google_cloudfunctions2_function.route : name => function.name }
}

output "dashboard" {
  description = "The dashboard's id."
  value       = google_monitoring_dashboard.this.id
}

output "workload_identity_provider" {
  description = "For the workflow's variable GCP_WORKLOAD_IDENTITY_PROVIDER; null without github_repository."
  value       = one(google_iam_workload_identity_pool_provider.github[*].name)
}

output "ci_service_account" {
  description = "What Cloud Build runs as, and the workflow's variable GCP_SERVICE_ACCOUNT; null without cloud_build."
  value       = one(google_service_account.ci[*].email)
}
