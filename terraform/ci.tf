# Optional: Cloud Build deploys as an account of its own, and the workflows of one GitHub repository start it without a
# key, by Workload Identity.

locals {
  with_github = var.github_repository != ""
  with_ci     = var.cloud_build || local.with_github

  ci_roles = [
    "roles/artifactregistry.admin", "roles/cloudbuild.builds.editor", "roles/cloudfunctions.admin", "roles/cloudquotas.viewer", "roles/cloudscheduler.admin",
    "roles/cloudtasks.admin", "roles/compute.loadBalancerAdmin", "roles/compute.networkAdmin", "roles/compute.securityAdmin",
    "roles/datastore.owner", "roles/iam.serviceAccountAdmin", "roles/iam.serviceAccountUser",
    "roles/iam.workloadIdentityPoolAdmin", "roles/logging.configWriter", "roles/logging.logWriter", "roles/monitoring.editor", "roles/redis.admin",
    "roles/run.admin", "roles/secretmanager.admin", "roles/serviceusage.serviceUsageAdmin", "roles/storage.admin",
  ]
  # What Terraform gives the platform's own accounts on the project, and so all that CI may give anyone.
  given_roles = ["roles/datastore.user", "roles/logging.logWriter"]
}

resource "google_iam_workload_identity_pool" "ci" {
  count                     = local.with_github ? 1 : 0
  workload_identity_pool_id = "${var.name}-ci"
  depends_on                = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  # checkov:skip=CKV_GCP_125: it wants to read the repository here, and this is a variable; tests/terraform/ looks at the planned condition
  count                              = local.with_github ? 1 : 0
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
    "attribute.ref"        = "assertion.ref"
  }
  # Only the main branch of that repository: a pull request runs code that nobody has read.
  attribute_condition = "assertion.sub == 'repo:${var.github_repository}:ref:refs/heads/main'"
  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account" "ci" {
  count        = local.with_ci ? 1 : 0
  account_id   = "${var.name}-ci"
  display_name = "Continuous integration, when it deploys"
  depends_on   = [google_project_service.this]
}

resource "google_service_account_iam_member" "github" {
  count              = local.with_github ? 1 : 0
  service_account_id = google_service_account.ci[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.ci[0].name}/attribute.repository/${var.github_repository}"
}

resource "google_project_iam_member" "ci" {
  for_each = toset(local.with_ci ? local.ci_roles : [])
  project  = var.project
  role     = each.key
  member   = google_service_account.ci[0].member
}

resource "google_project_iam_member" "ci_gives_roles" {
  count   = local.with_ci ? 1 : 0
  project = var.project
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = google_service_account.ci[0].member

  condition {
    title      = "only the platform's roles"
    expression = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly([${join(", ", [for role in concat(local.given_roles, local.ci_roles) : "'${role}'"])}])"
  }
}
