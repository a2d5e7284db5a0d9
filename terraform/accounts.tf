locals {
  accounts = merge(
    { for name in keys(local.functions) : name => "The function ${name}" },
    {
      gateway   = "The gateway"
      tasks     = "Cloud Tasks, when it wakes the worker"
      scheduler = "Cloud Scheduler, when it calls the schedules"
      build     = "Cloud Build, when it builds the functions"
    },
    { for name in local.workers : name => "The worker" },
  )
  # An account's id has 30 characters at most; a longer name is told apart by its hash.
  account_ids = {
    for name, id in { for name in keys(local.accounts) : name => "${var.name}-${replace(name, "_", "-")}" } :
    name => length(id) <= 30 ? id : "${substr(id, 0, 23)}-${substr(sha256(id), 0, 6)}"
  }
}

resource "google_service_account" "this" {
  for_each     = local.accounts
  account_id   = local.account_ids[each.key]
  display_name = each.value
  depends_on   = [google_project_service.this]
}
