# The indexes the code's queries need, and the fields that must have none, stand in firestore_indexes.json; the store's
# adapter writes that file from its own list.

locals {
  firestore_indexes = try(jsondecode(file("${path.module}/firestore_indexes.json")), { indexes = [], fieldOverrides = [] })
  composite_indexes = {
    for index in local.firestore_indexes.indexes :
    join("/", concat([index.collectionGroup], [for field in index.fields : "${field.fieldPath} ${field.order}"])) => index
  }
  field_overrides = {
    for override in local.firestore_indexes.fieldOverrides : "${override.collectionGroup}/${override.fieldPath}" => override
  }
}

resource "google_firestore_database" "this" {
  name                              = var.name
  location_id                       = var.firestore_location == "" ? var.region : var.firestore_location
  type                              = "FIRESTORE_NATIVE"
  concurrency_mode                  = "PESSIMISTIC"
  delete_protection_state           = local.protected ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = local.protected ? "ABANDON" : "DELETE"
  point_in_time_recovery_enablement = local.protected ? "POINT_IN_TIME_RECOVERY_ENABLED" : "POINT_IN_TIME_RECOVERY_DISABLED"
  depends_on                        = [google_project_service.this]
}

resource "google_firestore_index" "this" {
  for_each    = local.composite_indexes
  database    = google_firestore_database.this.name
  collection  = each.value.collectionGroup
  query_scope = try(each.value.queryScope, "COLLECTION")

  dynamic "fields" {
    for_each = each.value.fields
    content {
      field_path = fields.value.fieldPath
      order      = fields.value.order
    }
  }
}

# Times and counters rise with every write: an index on one would be a hot spot at 500 writes a second.
resource "google_firestore_field" "this" {
  for_each   = local.field_overrides
  database   = google_firestore_database.this.name
  collection = each.value.collectionGroup
  field      = each.value.fieldPath

  index_config {
    dynamic "indexes" {
      for_each = try(each.value.indexes, [])
      content {
        order        = try(indexes.value.order, null)
        array_config = try(indexes.value.arrayConfig, null)
        query_scope  = try(indexes.value.queryScope, "COLLECTION")
      }
    }
  }

  dynamic "ttl_config" {
    for_each = try(each.value.ttl, false) ? [true] : []
    content {}
  }
}

resource "google_firestore_backup_schedule" "daily" {
  count     = local.protected ? 1 : 0
  database  = google_firestore_database.this.name
  retention = "1209600s" # 14 days

  daily_recurrence {}
}
