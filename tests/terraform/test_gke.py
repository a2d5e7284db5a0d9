"""A worker on GKE: no GPU on Cloud Run, but its account, its rights, and everybody knows where it answers."""

import pytest

from shared.core.queues import job_deliveries
from tests.terraform.program import PROJECT, Plan, Terraform
from tests.terraform.test_functions import OF_JOBS, holders

URL = "https://worker.example.com"


@pytest.fixture(scope="module")
def on_gke(terraform: Terraform) -> Plan:
    return terraform.plan("dev", {"gke_worker": {"url": URL}, "worker_size": {"slots": 16, "max_instances": 4}})


def test_nothing_of_it_runs_on_cloud_run(on_gke: Plan) -> None:
    assert on_gke.of("google_cloud_run_v2_service") == on_gke.of("google_cloud_run_v2_job") == []


def test_gateway_and_whoever_makes_jobs_know_where_it_answers(on_gke: Plan) -> None:
    for name in {"gateway"} | OF_JOBS:
        assert on_gke.functions()[name].service["environment_variables"]["OMNI_WORKER_URL"] == URL


def test_its_pods_are_the_worker_s_account_which_may_what_the_worker_may(on_gke: Plan) -> None:
    (binding,) = [each for each in on_gke.of("google_service_account_iam_member") if ".kubernetes" in each.address]
    assert binding.values["role"] == "roles/iam.workloadIdentityUser"
    assert binding.values["member"] == f"serviceAccount:{PROJECT}.svc.id.goog[omni/worker]"
    assert "worker" in holders(on_gke, "google_cloud_tasks_queue_iam_member", "roles/cloudtasks.enqueuer")
    assert "worker" in holders(on_gke, "google_storage_bucket_iam_member", "roles/storage.objectUser")
    assert "worker" in holders(on_gke, "google_project_iam_member", "roles/datastore.user")


def test_its_queues_let_through_what_its_pods_can_run(on_gke: Plan) -> None:
    (queue,) = [each for each in on_gke.of("google_cloud_tasks_queue") if each.key == "gpu-hi"]
    assert queue.values["rate_limits"][0]["max_concurrent_dispatches"] == job_deliveries(4, 16)
