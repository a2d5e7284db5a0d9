"""Every row of the manifest becomes one function that has what it needs and nothing else."""

import re
from pathlib import Path

import pytest

from shared import manifest
from tests.terraform.program import Plan, Resource

FUNCTIONS = [route for route in manifest.load() if route.kind not in {"inference", "stream"}]
OF_JOBS = {route.name for route in FUNCTIONS if route.scope in {"jobs", "system"}} | {"keys_revoke"}
HANDLERS = Path(__file__).parent.parent.parent / "functions" / "routes"
CHECKING = {"API_KEYS", "OMNI_KEY_PEPPER"}
DIRECT = {"models_list", "models_get", "jobs_create"}


def secrets(function: Resource) -> set[str]:
    return {mounted["key"] for mounted in function.service["secret_environment_variables"]}


def holders(plan: Plan, kind: str, role: str) -> set[str]:
    """The accounts that a kind of grant names, by their key."""
    return {each.key.split("/")[0] for each in plan.of(kind) if each.values["role"] == role}


def test_every_row_is_one_function(plan: Plan) -> None:
    assert sorted(plan.functions()) == sorted([*(route.name for route in FUNCTIONS), "gateway"])


def test_a_function_has_what_its_row_says(plan: Plan) -> None:
    for route in FUNCTIONS:
        service = plan.functions()[route.name].service
        assert service["timeout_seconds"] == route.timeout_s
        assert service["available_memory"] == route.memory
        assert service["max_instance_count"] == route.max_instances
        assert service["max_instance_request_concurrency"] == route.concurrency
        assert service["environment_variables"]["THREADS"] == str(route.concurrency)


def test_a_function_behind_the_gateway_reads_its_own_secrets_only(smallest: Plan) -> None:
    for route in FUNCTIONS:
        assert secrets(smallest.functions()[route.name]) == {"OMNI_CALLER_PUBLIC_KEYS", *route.secrets}


def test_a_function_that_faces_the_public_checks_keys_itself(whole: Plan) -> None:
    for route in FUNCTIONS:
        function = whole.functions()[route.name]
        faces_public = route.name in DIRECT
        assert function.service["environment_variables"]["RUN_AS_INTERNAL"] == ("0" if faces_public else "1")
        assert (secrets(function) >= CHECKING) is faces_public


def test_the_gateway_alone_reads_the_key_that_signs_callers(plan: Plan) -> None:
    readers = {each.key for each in plan.of("google_secret_manager_secret_iam_member")}
    assert {key for key in readers if key.endswith("/OMNI_CALLER_PRIVATE_KEY")} == {"gateway/OMNI_CALLER_PRIVATE_KEY"}


def test_what_is_mounted_may_be_read_and_nothing_else(plan: Plan) -> None:
    mounted = {
        f"{name}/{secret}" for name, function in plan.functions().items() for secret in secrets(function)
    }  # fmt: skip
    mounted |= {
        f"worker/{secret}" for service in plan.of("google_cloud_run_v2_service") for secret in of_worker(service)
    }
    readable = {each.key for each in plan.of("google_secret_manager_secret_iam_member")}
    assert readable == mounted


def of_worker(service: Resource) -> set[str]:
    container = service.values["template"][0]["containers"][0]
    return {each["name"] for each in container["env"] if each["value_source"]}


def test_every_mounted_secret_is_made_or_yours(whole: Plan) -> None:
    made = {each.key for each in whole.of("google_secret_manager_secret")}
    asked = set.union(*(secrets(function) for function in whole.functions().values()))
    assert asked == made | {"OTHER_UPSTREAM_KEY"}


def test_no_secret_reaches_the_state(whole: Plan) -> None:
    for version in whole.of("google_secret_manager_secret_version"):
        assert version.values["secret_data"] is None
        assert version.values["secret_data_wo"] is None


def test_each_runs_as_an_account_of_its_own(plan: Plan) -> None:
    accounts = {each.key: each.values["account_id"] for each in plan.of("google_service_account")}
    assert accounts.keys() >= {"gateway", *(route.name for route in FUNCTIONS)}
    assert len(set(accounts.values())) == len(accounts)
    assert all(6 <= len(account) <= 30 for account in accounts.values())


def test_only_what_deals_with_jobs_reaches_queues_and_blobs(plan: Plan) -> None:
    worker = {"worker"} if plan.of("google_cloud_run_v2_service") else set()
    enqueue = holders(plan, "google_cloud_tasks_queue_iam_member", "roles/cloudtasks.enqueuer")
    assert enqueue == OF_JOBS | worker
    store = holders(plan, "google_storage_bucket_iam_member", "roles/storage.objectUser")
    assert store == OF_JOBS | worker | {"gateway"}


def test_the_gateway_speaks_asgi_and_outlasts_the_longest_route(plan: Plan) -> None:
    service = plan.functions()["gateway"].service
    assert service["environment_variables"]["FUNCTION_USE_ASGI"] == "true"
    assert service["timeout_seconds"] > max(route.timeout_s for route in manifest.load())


@pytest.mark.parametrize("route", [each for each in FUNCTIONS if each.kind == "schedule"], ids=lambda route: route.name)
def test_every_schedule_is_called_by_the_scheduler(smallest: Plan, route: manifest.Route) -> None:
    (job,) = [each for each in smallest.of("google_cloud_scheduler_job") if each.key == route.name]
    (target,) = job.values["http_target"]
    assert job.values["schedule"] == route.cron
    assert target["uri"].endswith(f".run.app/internal{route.path}")
    assert target["uri"].startswith(target["oidc_token"][0]["audience"] + "/")


def test_a_handler_that_deals_with_jobs_has_a_scope_that_gives_it_the_queues() -> None:
    dealing = re.compile(r"context\.jobs|ports\.(queue|blobs)")
    handlers = {route.name: HANDLERS / f"{route.name}.py" for route in FUNCTIONS}
    assert {name for name, file in handlers.items() if dealing.search(file.read_text())} <= OF_JOBS
