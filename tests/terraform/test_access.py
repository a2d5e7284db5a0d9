"""Who may call whom, and what the whole world may."""

import yaml  # type: ignore[import-untyped]

from tests.terraform.program import CHECKOUT, Plan, Resource
from tests.terraform.test_functions import DIRECT, FUNCTIONS


def invokers(plan: Plan, name: str) -> dict[str, Resource]:
    return {each.key: each for each in plan.of("google_cloud_run_v2_service_iam_member") if f".{name}[" in each.address}


def everyone_may(plan: Plan) -> set[str]:
    worldwide = ("allUsers", "allAuthenticatedUsers")
    return {each.key for each in plan.resources if each.values.get("member") in worldwide}


def test_nothing_is_public_but_the_gateway(smallest: Plan) -> None:
    assert everyone_may(smallest) == {"gateway"}


def test_with_a_load_balancer_nothing_is_public_past_it(whole: Plan) -> None:
    assert everyone_may(whole) == {"gateway", *DIRECT}
    for name in everyone_may(whole):
        assert whole.functions()[name].service["ingress_settings"] == "ALLOW_INTERNAL_AND_GCLB"


def test_the_gateway_may_call_every_function_and_the_worker(whole: Plan) -> None:
    assert invokers(whole, "gateway").keys() == {*(route.name for route in FUNCTIONS), "worker"}


def test_the_scheduler_may_call_schedules_only(whole: Plan) -> None:
    assert invokers(whole, "scheduler").keys() == {route.name for route in FUNCTIONS if route.kind == "schedule"}


def test_the_queue_may_call_the_worker_and_what_is_made_for_it(whole: Plan) -> None:
    assert invokers(whole, "tasks").keys() == {*(route.name for route in FUNCTIONS if route.kind == "task"), "worker"}


def test_nobody_holds_a_role_over_everything(whole: Plan) -> None:
    roles = {each.values["role"] for each in whole.of("google_project_iam_member")}
    assert not roles & {"roles/owner", "roles/editor", "roles/viewer"}


def test_the_database_is_the_only_thing_held_on_the_whole_project(whole: Plan) -> None:
    held = {each.values["role"] for each in whole.of("google_project_iam_member") if ".ci" not in each.address}
    assert held == {"roles/datastore.user", "roles/logging.logWriter"}
    for each in whole.of("google_project_iam_member"):
        if each.values["role"] == "roles/datastore.user":
            assert each.values["condition"]


def test_ci_deploys_from_the_main_branch_of_one_repository(whole: Plan) -> None:
    (provider,) = whole.of("google_iam_workload_identity_pool_provider")
    condition = provider.values["attribute_condition"]
    assert condition == "assertion.sub == 'repo:example/omni:ref:refs/heads/main'"


def test_cloud_build_runs_as_the_account_that_is_made_for_it(smallest: Plan) -> None:
    (account,) = [each for each in smallest.of("google_service_account") if each.address.endswith(".ci[0]")]
    runs_as = yaml.safe_load((CHECKOUT / "cloudbuild.yaml").read_text())["serviceAccount"]
    assert (
        runs_as.partition("serviceAccounts/")[2]
        .replace("${_REPOSITORY}", "omni")
        .startswith(f"{account.values['account_id']}@")
    )


def test_buckets_are_private(plan: Plan) -> None:
    for bucket in plan.of("google_storage_bucket"):
        assert bucket.values["public_access_prevention"] == "enforced"
        assert bucket.values["uniform_bucket_level_access"] is True


def test_only_production_protects_its_data(smallest: Plan, whole: Plan) -> None:
    def protection(plan: Plan) -> set[str]:
        return {each.values["delete_protection_state"] for each in plan.of("google_firestore_database")}

    assert protection(smallest) == {"DELETE_PROTECTION_DISABLED"}
    assert protection(whole) == {"DELETE_PROTECTION_ENABLED"}
