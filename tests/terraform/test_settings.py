"""Terraform and the code agree on the names of settings."""

import re
from collections.abc import Mapping
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from shared import manifest
from shared.core.queues import QUEUES
from shared.settings import Settings
from tests.terraform.program import CHECKOUT, PROJECT, WHOLE, Plan
from tests.terraform.test_functions import OF_JOBS

FRAMEWORK = {"FUNCTION_USE_ASGI", "THREADS"}
"""What the Functions Framework reads itself."""
KNOWN = {field.metadata["env"] for field in fields(Settings)}


def environments(plan: Plan) -> dict[str, dict[str, str]]:
    found = {name: function.service["environment_variables"] for name, function in plan.functions().items()}
    for service in plan.of("google_cloud_run_v2_service"):
        container = service.values["template"][0]["containers"][0]
        found["worker"] = {each["name"]: each["value"] for each in container["env"] if not each["value_source"]}
    return found


def test_every_variable_is_a_setting(plan: Plan) -> None:
    unknown = {name for environment in environments(plan).values() for name in environment} - KNOWN - FRAMEWORK
    assert unknown == set()


def test_every_environment_makes_settings(plan: Plan) -> None:
    for environment in environments(plan).values():
        settings = Settings.load({name: value for name, value in environment.items() if name in KNOWN})
        assert settings.environment == "production"


def test_the_worker_serves_its_model_to_the_gateway_alone(whole: Plan) -> None:
    environment = environments(whole)["worker"]
    assert environment["OMNI_WORKER_MODEL"] == WHOLE["worker"]["model"]  # type: ignore[index]
    assert environment["RUN_AS_INTERNAL"] == "1"
    assert environment["HOST"] == "0.0.0.0"  # noqa: S104  # a container's own network


def test_what_deals_with_jobs_finds_the_queues(whole: Plan) -> None:
    queues = {each.values["name"] for each in whole.of("google_cloud_tasks_queue")}
    for name in OF_JOBS | {"worker"}:
        environment = environments(whole)[name]
        assert environment["OMNI_QUEUE"] == "cloudtasks"
        assert {environment["OMNI_QUEUE_PREFIX"] + queue for queue in QUEUES} == queues
        assert environment["OMNI_TASKS_ACCOUNT"] == f"omni-tasks@{PROJECT}.iam.gserviceaccount.com"


def test_on_kubernetes_the_worker_is_told_as_much(whole: Plan) -> None:
    """But for what holds on Cloud Run alone: what checks tokens there, and the address its container listens at."""
    settings = CHECKOUT / "deploy" / "k8s" / "settings.yaml"
    told = set(re.findall(r"^  ([A-Z_]+):", settings.read_text(), re.MULTILINE))
    assert environments(whole)["worker"].keys() - {"OMNI_TOKEN_CHECK", "HOST", "OMNI_WORKER_MODEL_PATH"} <= told


def test_times_nest(whole: Plan) -> None:
    """A job's longest run < what Cloud Run allows a request < the 30 min for which Cloud Tasks listens."""
    (worker,) = whole.of("google_cloud_run_v2_service")
    allowed_s = int(worker.values["template"][0]["timeout"].removesuffix("s"))
    assert Settings().job_timeout_s < allowed_s < 1800


def test_a_model_may_take_five_minutes_to_load(whole: Plan) -> None:
    (worker,) = whole.of("google_cloud_run_v2_service")
    probe = worker.values["template"][0]["containers"][0]["startup_probe"][0]
    assert probe["http_get"][0]["path"] == "/ready"
    assert probe["initial_delay_seconds"] + probe["period_seconds"] * probe["failure_threshold"] >= 300
    assert probe["period_seconds"] * probe["failure_threshold"] <= 240  # what every text of Cloud Run allows


def test_who_may_run_tasks_and_schedules_is_named_and_gets_through_alone(whole: Plan) -> None:
    """Cloud Run checks callers before these services, and takes the signature off their tokens."""
    wanted = {"task": "omni-tasks", "schedule": "omni-scheduler"}
    kinds = {row.name: row.kind for row in manifest.load() if row.kind in wanted} | {"worker": "task"}
    public = {
        each.values["name"]
        for each in whole.of("google_cloud_run_v2_service_iam_member")
        if each.values["member"] == "allUsers"
    }
    for name, kind in kinds.items():
        environment = environments(whole)[name]
        assert environment["OMNI_SYSTEM_ACCOUNTS"] == f"{wanted[kind]}@{PROJECT}.iam.gserviceaccount.com"
        assert environment["OMNI_TOKEN_CHECK"] == "platform"
        assert f"omni-{name.replace('_', '-')}" not in public


def test_the_job_is_the_worker_with_another_command(whole: Plan) -> None:
    (service,), (job,) = whole.of("google_cloud_run_v2_service"), whole.of("google_cloud_run_v2_job")
    (serving,) = service.values["template"][0]["containers"]
    template = job.values["template"][0]["template"][0]
    (working,) = template["containers"]
    assert working["image"] == serving["image"]
    assert named(working) == named(serving)
    assert working["args"] == ["-m", "jobs.ml_worker.batch"]
    assert find_spec(working["args"][1])
    assert int(template["timeout"].removesuffix("s")) <= 3600  # the most for a task with a GPU


def named(container: Mapping[str, Any]) -> dict[str, str | None]:
    return {each["name"]: each["value"] for each in container["env"]}
