terraform {
  required_version = "~> 1.11" # write-only arguments: no secret reaches the state

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
    tls = {
      source  = "hashicorp/tls"
      version = "~> 4.1"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }

  backend "gcs" {
    prefix = "omni" # the bucket is given to `terraform init`; `omni deploy` makes it
  }
}

provider "google" {
  project               = var.project
  region                = var.region
  user_project_override = true # budgets and quotas are asked for on the project's own account
  billing_project       = var.project
  default_labels        = { app = var.name }
}
