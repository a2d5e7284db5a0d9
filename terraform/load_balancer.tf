# Optional: a name of your own, Cloud Armor, and busy routes sent straight to their functions.

locals {
  balanced = var.load_balancer == null ? {} : { for name in setunion(["gateway"], local.direct_routes) : name => local.service_names[name] }
  # `{id}` of the manifest is one part of a path, `{model:path}` all that is left of it.
  path_templates = {
    for name in local.direct_routes : name =>
    replace(replace(local.rows[name].path, "/\\{([a-z_]+):path\\}/", "{$1=**}"), "/\\{([a-z_]+)\\}/", "{$1=*}")
  }
}

resource "google_compute_global_address" "this" {
  count      = var.load_balancer == null ? 0 : 1
  name       = var.name
  depends_on = [google_project_service.this]
}

resource "google_compute_managed_ssl_certificate" "this" {
  count = var.load_balancer == null ? 0 : 1
  name  = "${var.name}-${substr(sha256(var.load_balancer.domain), 0, 6)}"
  managed {
    domains = [var.load_balancer.domain]
  }
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_region_network_endpoint_group" "this" {
  for_each              = local.balanced
  name                  = each.value
  region                = var.region
  network_endpoint_type = "SERVERLESS"
  cloud_run {
    service = each.key == "gateway" ? google_cloudfunctions2_function.gateway.name : google_cloudfunctions2_function.route[each.key].name
  }
}

resource "google_compute_security_policy" "this" {
  count = var.load_balancer == null ? 0 : 1
  name  = var.name
  type  = "CLOUD_ARMOR"

  adaptive_protection_config {
    layer_7_ddos_defense_config {
      enable = true
    }
  }

  # CVE-2021-44228 and its kin. Other signatures would take prompts about code for attacks.
  rule {
    action   = "deny(403)"
    priority = 900
    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary')"
      }
    }
  }

  rule {
    action   = "throttle"
    priority = 1000
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"
      rate_limit_threshold {
        count        = var.load_balancer.requests_per_minute
        interval_sec = 60
      }
    }
  }

  rule {
    action   = "allow"
    priority = 2147483647
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

resource "google_compute_backend_service" "this" {
  for_each              = local.balanced
  name                  = each.value
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = google_compute_security_policy.this[0].id
  log_config {
    enable      = true
    sample_rate = 0.1
  }
  backend {
    group = google_compute_region_network_endpoint_group.this[each.key].id
  }
}

resource "google_compute_url_map" "this" {
  count           = var.load_balancer == null ? 0 : 1
  name            = var.name
  default_service = google_compute_backend_service.this["gateway"].id

  dynamic "host_rule" {
    for_each = length(local.direct_routes) > 0 ? [var.load_balancer.domain] : []
    content {
      hosts        = [host_rule.value]
      path_matcher = "routes"
    }
  }

  dynamic "path_matcher" {
    for_each = length(local.direct_routes) > 0 ? ["routes"] : []
    content {
      name            = path_matcher.value
      default_service = google_compute_backend_service.this["gateway"].id

      dynamic "route_rules" {
        for_each = { for position, name in sort(local.direct_routes) : position => name }
        content {
          priority = route_rules.key + 1
          service  = google_compute_backend_service.this[route_rules.value].id
          match_rules {
            path_template_match = local.path_templates[route_rules.value]
            header_matches {
              header_name = ":method"
              exact_match = local.rows[route_rules.value].methods[0]
            }
          }
        }
      }
    }
  }
}

resource "google_compute_url_map" "to_https" {
  count = var.load_balancer == null ? 0 : 1
  name  = "${var.name}-to-https"
  default_url_redirect {
    https_redirect = true
    strip_query    = false
  }
}

resource "google_compute_ssl_policy" "this" {
  count           = var.load_balancer == null ? 0 : 1
  name            = var.name
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "this" {
  count            = var.load_balancer == null ? 0 : 1
  name             = var.name
  url_map          = google_compute_url_map.this[0].id
  ssl_certificates = [google_compute_managed_ssl_certificate.this[0].id]
  ssl_policy       = google_compute_ssl_policy.this[0].id
}

resource "google_compute_target_http_proxy" "to_https" {
  count   = var.load_balancer == null ? 0 : 1
  name    = "${var.name}-to-https"
  url_map = google_compute_url_map.to_https[0].id
}

resource "google_compute_global_forwarding_rule" "https" {
  count                 = var.load_balancer == null ? 0 : 1
  name                  = "${var.name}-https"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this[0].id
  port_range            = "443"
  target                = google_compute_target_https_proxy.this[0].id
}

resource "google_compute_global_forwarding_rule" "http" {
  count                 = var.load_balancer == null ? 0 : 1
  name                  = "${var.name}-http"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this[0].id
  port_range            = "80"
  target                = google_compute_target_http_proxy.to_https[0].id
}
