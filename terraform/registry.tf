resource "google_artifact_registry_repository" "this" {
  # checkov:skip=CKV_GCP_84: Google's own keys encrypt it; a key of one's own adds a way to lose the images and no secret is in them
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "The worker's image, and the images Cloud Build makes of the functions."

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s"
    }
  }

  depends_on = [google_project_service.this]
}
