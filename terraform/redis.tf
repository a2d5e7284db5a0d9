resource "google_redis_instance" "this" {
  # checkov:skip=CKV_GCP_97: with TLS comes a certificate authority of its own, which changes; the password and a network that nothing else uses keep others out
  count              = var.redis == null ? 0 : 1
  name               = var.name
  tier               = var.redis.highly_available ? "STANDARD_HA" : "BASIC"
  memory_size_gb     = var.redis.memory_gb
  redis_version      = "REDIS_7_2"
  authorized_network = google_compute_network.this[0].id
  auth_enabled       = true
  redis_configs      = { maxmemory-policy = "volatile-lru" } # kept answers go first; counters have short lives
  depends_on         = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "redis_password" {
  count                  = var.redis == null ? 0 : 1
  secret                 = google_secret_manager_secret.this["OMNI_REDIS_PASSWORD"].id
  secret_data_wo         = google_redis_instance.this[0].auth_string
  secret_data_wo_version = 1

  lifecycle { # another instance has another password
    replace_triggered_by = [google_redis_instance.this[0].create_time]
  }
}
