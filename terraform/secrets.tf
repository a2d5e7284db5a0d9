# Values are made here once and never reach the state; a later version is added by hand (docs/05-operate.md).

locals {
  # The platform's own begin with OMNI_; any other that a row names is yours to make.
  row_secrets    = toset(flatten([for row in values(local.rows) : try(row.secrets, [])]))
  random_secrets = setunion(["API_KEYS", "OMNI_KEY_PEPPER"], [for name in local.row_secrets : name if startswith(name, "OMNI_")])
  # A pair: the gateway's account alone reads the private key, which signs callers; all others read the public one.
  caller_keys  = toset(["OMNI_CALLER_PRIVATE_KEY", "OMNI_CALLER_PUBLIC_KEYS"])
  made_secrets = setunion(local.random_secrets, local.caller_keys, var.redis == null ? [] : ["OMNI_REDIS_PASSWORD"])
  own_secrets  = setunion(var.own_secrets, var.upstream_secrets)
  # What whoever faces the public checks keys and keeps limits with.
  door_secrets = setintersection(local.made_secrets, ["API_KEYS", "OMNI_KEY_PEPPER", "OMNI_REDIS_PASSWORD"])

  # Who reads what. Behind the gateway only the signature of the caller is checked.
  gateway_secrets = setunion(local.door_secrets, local.own_secrets, ["OMNI_CALLER_PRIVATE_KEY"])
  route_secrets = {
    for name, row in local.functions : name => setunion(
      ["OMNI_CALLER_PUBLIC_KEYS"],
      try(row.secrets, []),
      contains(local.direct_routes, name) ? local.door_secrets : [],
    )
  }
  worker_secrets = toset(["OMNI_CALLER_PUBLIC_KEYS"])

  readers = merge(
    { gateway = local.gateway_secrets },
    local.route_secrets,
    var.worker == null ? {} : { worker = local.worker_secrets },
  )
  unknown_secrets = setsubtract(flatten([for names in values(local.readers) : tolist(names)]), setunion(local.made_secrets, local.own_secrets))
}

resource "google_secret_manager_secret" "this" {
  for_each            = local.made_secrets
  secret_id           = "${var.name}-${each.key}"
  deletion_protection = local.protected

  replication {
    auto {}
  }

  lifecycle {
    precondition {
      condition     = length(local.unknown_secrets) == 0
      error_message = "functions/routes.json asks for secrets that nobody gives: ${join(", ", local.unknown_secrets)}. Make each with `gcloud secrets create ${var.name}-NAME --data-file=-` and name it in own_secrets."
    }
  }

  depends_on = [google_project_service.this]
}

ephemeral "random_password" "this" {
  for_each = local.random_secrets
  length   = 48
  special  = false
}

resource "google_secret_manager_secret_version" "made" {
  for_each               = local.random_secrets
  secret                 = google_secret_manager_secret.this[each.key].id
  secret_data_wo         = "${each.key == "API_KEYS" ? "master-key-root-" : ""}${ephemeral.random_password.this[each.key].result}"
  secret_data_wo_version = 1
}

ephemeral "tls_private_key" "caller" {
  algorithm = "ED25519"
}

resource "google_secret_manager_secret_version" "caller" {
  for_each               = local.caller_keys
  secret                 = google_secret_manager_secret.this[each.key].id
  secret_data_wo         = each.key == "OMNI_CALLER_PRIVATE_KEY" ? ephemeral.tls_private_key.caller.private_key_pem_pkcs8 : ephemeral.tls_private_key.caller.public_key_pem
  secret_data_wo_version = var.caller_keys_version
}

# A secret of yours that is not there stops the plan here.
data "google_secret_manager_secret" "own" {
  for_each  = local.own_secrets
  secret_id = "${var.name}-${each.key}"
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = merge([
    for reader, names in local.readers : { for name in names : "${reader}/${name}" => { reader = reader, name = name } }
  ]...)
  secret_id = local.secret_refs[each.value.name]
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this[each.value.reader].member
}
