# For callers who rely on it: no cold start of the gateway, limits shared by all instances, data protected.
environment = "prod"
region      = "europe-west4"

gateway = {
  min_instances = 1
  max_instances = 50
}

redis = {
  memory_gb         = 1
  highly_available  = true
  assumed_instances = 2
}

firestore_location = "eur3"
availability_goal  = 0.999
