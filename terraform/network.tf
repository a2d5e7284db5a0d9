# Only what talks to Redis goes through this network, and only with private addresses.

resource "google_compute_network" "this" {
  count                   = var.redis == null ? 0 : 1
  name                    = var.name
  auto_create_subnetworks = false
  depends_on              = [google_project_service.this]
}

resource "google_compute_subnetwork" "egress" {
  count                    = var.redis == null ? 0 : 1
  name                     = "${var.name}-egress"
  network                  = google_compute_network.this[0].id
  ip_cidr_range            = "10.8.0.0/22" # direct egress wants up to four addresses an instance
  private_ip_google_access = true

  log_config {
    flow_sampling = 0.1
    metadata      = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "nothing_comes_in" {
  count     = var.redis == null ? 0 : 1
  name      = "${var.name}-nothing-comes-in"
  network   = google_compute_network.this[0].id
  direction = "INGRESS"
  deny {
    protocol = "all"
  }
  source_ranges = ["0.0.0.0/0"]
}
