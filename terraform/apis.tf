locals {
  apis = [
    "artifactregistry", "billingbudgets", "cloudbilling", "cloudbuild", "cloudfunctions", "cloudquotas", "cloudresourcemanager", "cloudscheduler",
    "cloudtasks", "compute", "firestore", "iam", "iamcredentials", "logging", "monitoring", "redis", "run",
    "secretmanager", "serviceusage", "storage", "sts",
  ]
}

resource "google_project_service" "this" {
  for_each           = toset(local.apis)
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false # others may use them
}
