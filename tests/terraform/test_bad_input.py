"""Bad input dies at the plan, with a sentence that says what to do."""

import re
from collections.abc import Iterator

import pytest

from tests.terraform.program import CONFIGURATION, NotPlanned, Terraform

WORKER = {"image": "europe-west4-docker.pkg.dev/demo-project-1/omni/ml-worker:1", "model": "m"}
BLACKWELL = {"accelerator": "nvidia-rtx-pro-6000", "cpu": 20, "memory_gib": 80}
GKE = {"url": "https://worker.example.com"}
BALANCER = {"domain": "ai.example.com"}


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"project": "My Project"}, "It is the id, not the name or the number"),
    ({"project": "123456789012"}, "begins with a letter"),
    ({"region": "europe-west4-a"}, "a zone such as europe-west4-a is not one"),
    ({"region": "europe-west3", "worker": WORKER}, "Cloud Run has no such GPU in this region"),
    ({"region": "us-east4", "worker": WORKER, "worker_size": BLACKWELL}, "nvidia-rtx-pro-6000: asia-southeast1"),
    ({"worker_size": {"accelerator": "nvidia-h100"}}, "or empty for a worker on CPUs"),
    ({"worker_size": {"cpu": 2}}, "A worker with an L4 needs at least 4 CPUs"),
    ({"worker_size": {**BLACKWELL, "cpu": 8}}, "needs at least 20 CPUs and 80 GiB"),
    ({"worker_size": {"max_instances": 0}}, "what bounds the bill"),
    ({"worker_size": {"slots": 0}}, "what one instance runs at the same time"),
    ({"worker_settings": {"omni_tool_parser": "hermes"}}, "by the names of environment variables"),
    ({"worker_settings": {"RUN_AS_INTERNAL": "0"}}, "who may call the worker is not a setting"),
    ({"worker": {**WORKER, "model": ""}}, "the id of a model in models.toml"),
    ({"worker": {**WORKER, "weights": "/models/"}}, "without a slash at its ends"),
    ({"gke_worker": {"url": "http://worker"}}, "is like https://worker.example.com"),
    ({"gke_worker": {**GKE, "account": "worker"}}, "NAMESPACE/NAME"),
    ({"gke_worker": GKE, "worker": WORKER}, "not on both"),
    ({"worker": {**WORKER, "image": "ml-worker"}}, "as Cloud Build pushes it"),
    ({"environment": "staging"}, "The environment is dev or prod."),
    ({"name": "a-name-that-is-long"}, "service accounts leave no room for more"),
    ({"functions_archive": "nowhere.zip"}, "run `omni package` first"),
    ({"gateway": {"cpu": 0.5}}, "gives an instance a single request at a time"),
    ({"gateway": {"concurrency": 0}}, "takes 1 to 1000 requests"),
    ({"gateway": {"min_instances": 3, "max_instances": 2}}, "no more at least than at most"),
    ({"gateway": {"memory": "512"}}, "like 512Mi or 1Gi"),
    ({"redis": {"memory_gb": 0}}, "1 to 300 GB"),
    ({"redis": {"assumed_instances": 0}}, "share a limit while Redis was never reached"),
    ({"firestore_location": "europe"}, "one of the multi-regions eur3, nam5 and nam7"),
    ({"upstream_secrets": ["lower"]}, "does not begin with OMNI_"),
    ({"own_secrets": ["API_KEYS"]}, "own_secrets is for others"),
    ({"own_secrets": ["lower"]}, "named as the environment variable that it becomes"),
    ({"secret_versions": {"API_KEYS": "newest"}}, "a number or `latest`"),
    ({"retention_days": 1}, "keep them 7 days at least"),
    ({"load_balancer": {"domain": "https://ai.example.com"}}, "a name such as ai.example.com"),
    ({"load_balancer": {**BALANCER, "requests_per_minute": 0}}, "lets through from one address"),
    ({"load_balancer": {**BALANCER, "direct_routes": ["no_route"]}}, "only rows of functions/routes.json"),
    ({"load_balancer": {**BALANCER, "direct_routes": ["jobs_sweep"]}}, "of kind `function`"),
    ({"alert_emails": ["ops"]}, "addresses such as ops@example.com"),
    ({"availability_goal": 1}, "leaves nothing to burn"),
    ({"budget": {"billing_account": "mine", "monthly_amount": 5}}, "`gcloud billing accounts list` shows it"),
    ({"budget": {"billing_account": "012345-6789AB-CDEF01", "monthly_amount": 0}}, "a whole number, at least 1"),
    ({"github_repository": "a/b", "cloud_build": False}, "leave cloud_build true"),
    ({"github_repository": "https://github.com/a/b"}, "without https://github.com/"),
]
OF_WORKERS = {"region", "worker", "worker_size", "worker_settings", "gke_worker"}
"""Rules for one of these look at others."""


def few_plans() -> Iterator[tuple[dict[str, object], list[str]]]:
    """Terraform names every variable that is wrong, so those that have nothing to do with each other go together."""
    left = REFUSED
    while left:
        given: dict[str, object] = {}
        sentences, others = [], []
        for case in left:
            taken = OF_WORKERS | given.keys() if OF_WORKERS & given.keys() else given.keys()
            if taken.isdisjoint(case[0]):
                given |= case[0]
                sentences.append(case[1])
            else:
                others.append(case)
        yield given, sentences
        left = others


@pytest.mark.parametrize(("given", "sentences"), list(few_plans()))
def test_a_value_that_cannot_work_is_refused_by_a_sentence(
    terraform: Terraform, given: dict[str, object], sentences: list[str]
) -> None:
    with pytest.raises(NotPlanned) as refusal:
        terraform.plan("dev", given)
    assert [sentence for sentence in sentences if sentence not in str(refusal.value)] == []


def test_a_secret_that_nobody_gives_is_named(terraform: Terraform) -> None:
    manifest = terraform.folder.parent / "functions" / "routes.json"
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"secrets": ["OMNI_KEY_PEPPER"]', '"secrets": ["PARTNER_KEY"]'))
    try:
        with pytest.raises(NotPlanned, match=r"PARTNER_KEY.*gcloud secrets create omni-NAME"):
            terraform.plan("dev", {})
        planned = terraform.plan("dev", {"own_secrets": ["PARTNER_KEY"]})
    finally:
        manifest.write_text(whole)
    assert "PARTNER_KEY" in {
        each["key"] for each in planned.functions()["keys_create"].service["secret_environment_variables"]
    }


def test_every_variable_refuses_what_cannot_work_by_a_sentence() -> None:
    texts = [file.read_text() for file in CONFIGURATION.glob("variables*.tf")]
    blocks = [block for text in texts for block in re.split(r'\n(?=variable ")', text) if block.startswith("variable ")]
    messages = {block.split('"')[1]: re.findall(r'error_message = "(.*)"', block) for block in blocks}
    assert {name for name, said in messages.items() if not said} == set()
    assert {each for said in messages.values() for each in said if not each.endswith(".")} == set()
