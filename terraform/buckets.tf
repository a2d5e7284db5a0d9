locals {
  buckets = {
    blobs   = { days = var.retention_days, versions = false } # large inputs and results, batch files
    source  = { days = 90, versions = true }                  # the functions' archives
    weights = { days = 0, versions = true }                   # models; these stay
  }
}

resource "google_storage_bucket" "this" {
  # checkov:skip=CKV_GCP_62: access is logged by Cloud Audit Logs, which need no bucket for it
  # checkov:skip=CKV_GCP_78: blobs are written once under names of their own and deleted after a while; a version kept would only be paid for
  for_each                    = local.buckets
  name                        = "${var.project}-${var.name}-${each.key}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !local.protected

  versioning {
    enabled = each.value.versions
  }

  dynamic "lifecycle_rule" {
    for_each = each.value.days > 0 ? [each.value.days] : []
    content {
      condition {
        age        = lifecycle_rule.value
        with_state = each.value.versions ? "ARCHIVED" : "ANY"
      }
      action {
        type = "Delete"
      }
    }
  }

  lifecycle_rule {
    condition {
      age = 1
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  depends_on = [google_project_service.this]
}
