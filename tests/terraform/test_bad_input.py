"""Bad input dies at the plan, with a sentence that says what to do."""

import pytest

from tests.terraform.program import NotPlanned, Terraform

WORKER = {"image": "europe-west4-docker.pkg.dev/demo-project-1/omni/ml-worker:1", "model": "m"}
BLACKWELL = {**WORKER, "accelerator": "nvidia-rtx-pro-6000", "cpu": 20, "memory_gib": 80}
BALANCER = {"domain": "ai.example.com"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"project": "My Project"}, "It is the id, not the name or the number"),
        ({"project": "123456789012"}, "begins with a letter"),
        ({"region": "europe-west4-a"}, "a zone such as europe-west4-a is not one"),
        ({"region": "europe-west3", "worker": WORKER}, "Cloud Run has no such GPU in this region"),
        ({"region": "us-east4", "worker": BLACKWELL}, "nvidia-rtx-pro-6000: asia-southeast1, europe-west4"),
        ({"worker": {**WORKER, "accelerator": "nvidia-h100"}}, "or empty for a worker on CPUs"),
        ({"worker": {**WORKER, "cpu": 2}}, "A worker with an L4 needs at least 4 CPUs"),
        ({"worker": {**WORKER, "max_instances": 0}}, "what bounds the bill"),
        ({"worker": {**WORKER, "image": "ml-worker"}}, "as `omni deploy` builds it"),
        ({"environment": "staging"}, "The environment is dev or prod."),
        ({"name": "a-name-that-is-long"}, "service accounts leave no room for more"),
        ({"functions_archive": "nowhere.zip"}, "run `omni package` first"),
        ({"gateway": {"cpu": 0.5}}, "gives an instance a single request at a time"),
        ({"gateway": {"concurrency": 0}}, "takes 1 to 1000 requests"),
        ({"gateway": {"min_instances": 3, "max_instances": 2}}, "no more at least than at most"),
        ({"redis": {"memory_gb": 0}}, "1 to 300 GB"),
        ({"own_secrets": ["API_KEYS"]}, "own_secrets is for others"),
        ({"own_secrets": ["lower"]}, "named as the environment variable that it becomes"),
        ({"secret_versions": {"API_KEYS": "newest"}}, "a number or `latest`"),
        ({"retention_days": 1}, "keep them 7 days at least"),
        ({"load_balancer": {"domain": "https://ai.example.com"}}, "a name such as ai.example.com"),
        ({"load_balancer": {**BALANCER, "direct_routes": ["no_route"]}}, "only rows of functions/routes.json"),
        ({"load_balancer": {**BALANCER, "direct_routes": ["jobs_sweep"]}}, "of kind `function`"),
        ({"alert_emails": ["ops"]}, "addresses such as ops@example.com"),
        ({"availability_goal": 1}, "leaves nothing to burn"),
        ({"budget": {"billing_account": "mine", "monthly_amount": 5}}, "`gcloud billing accounts list` shows it"),
        ({"budget": {"billing_account": "012345-6789AB-CDEF01", "monthly_amount": 0}}, "a whole number, at least 1"),
        ({"github_repository": "https://github.com/a/b"}, "without https://github.com/"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused_by_a_sentence(
    terraform: Terraform, given: dict[str, object], sentence: str
) -> None:
    with pytest.raises(NotPlanned) as refusal:
        terraform.plan("dev", given)
    assert sentence in str(refusal.value)


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
