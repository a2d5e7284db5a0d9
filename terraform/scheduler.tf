resource "google_cloud_scheduler_job" "this" {
  for_each         = local.schedules
  name             = local.service_names[each.key]
  region           = var.region
  description      = each.value.summary
  schedule         = each.value.cron
  time_zone        = "Etc/UTC"
  attempt_deadline = "${max(15, try(each.value.timeout_s, 60))}s"

  http_target {
    http_method = each.value.methods[0]
    uri         = "${replace(local.routes_url, "{name}", replace(each.key, "_", "-"))}/internal${each.value.path}"
    oidc_token {
      service_account_email = google_service_account.this["scheduler"].email
      audience              = replace(local.routes_url, "{name}", replace(each.key, "_", "-"))
    }
  }

  retry_config {
    retry_count = 0 # the next minute tries again
  }

  depends_on = [google_cloud_run_v2_service_iam_member.scheduler]
}
