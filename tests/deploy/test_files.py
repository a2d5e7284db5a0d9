"""The files that other programs read, checked by the schemas and linters of those programs."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from shared.settings import Settings
from tests.conftest import SECRETS, SETTINGS
from tests.tools import environment_with

CHECKOUT = Path(__file__).resolve().parent.parent.parent
MANIFESTS = sorted(file for file in (CHECKOUT / "deploy" / "k8s").glob("*.yaml") if file.name != "kustomization.yaml")
DOCKERFILES = [*(CHECKOUT / "jobs" / "ml_worker").glob("Dockerfile*"), *(CHECKOUT / "deploy").glob("Dockerfile*")]
SCHEMAS = {
    "cloudbuild.yaml": "vendor.cloudbuild",
    "docker-compose.yml": "vendor.compose-spec",
    ".github/workflows/check.yml": "vendor.github-workflows",
    ".github/workflows/deploy.yml": "vendor.github-workflows",
    ".github/dependabot.yml": "vendor.dependabot",
}


@pytest.fixture(scope="session")
def linters() -> Path:
    return environment_with(CHECKOUT / "requirements" / "linters.txt").parent


def passes(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr


def read(name: str) -> Any:
    return yaml.safe_load((CHECKOUT / name).read_text())


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_fits_its_schema(linters: Path, name: str) -> None:
    passes(linters / "check-jsonschema", "--builtin-schema", SCHEMAS[name], name)


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_hadolint_finds_nothing(linters: Path, file: Path) -> None:
    passes(linters / "hadolint", file)


def test_kubernetes_takes_the_manifests(linters: Path) -> None:
    passes(linters / "kubernetes-validate", "--strict", *(each for each in MANIFESTS if each.stem != "backend"))


class Strict(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that comes twice, of which YAML's readers take the last."""


def once(loader: Strict, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001  # as yaml calls it
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    assert len(keys) == len(set(map(str, keys))), f"{node.start_mark}: {keys}"
    return dict(yaml.SafeLoader.construct_mapping(loader, node, deep=True))


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, once)


@pytest.mark.parametrize("file", [*MANIFESTS, CHECKOUT / "cloudbuild.yaml"], ids=lambda file: file.stem)
def test_no_key_comes_twice(file: Path) -> None:
    yaml.load(file.read_text(), Loader=Strict)  # noqa: S506  # a safe one


def test_on_kubernetes_the_load_balancer_leads_to_the_pods_and_waits_as_long_as_cloud_run() -> None:
    entry, backend, service = (read(f"deploy/k8s/{name}.yaml") for name in ("entry", "backend", "service"))
    target = entry["spec"]["defaultBackend"]["service"]
    assert target == {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}
    named = json.loads(service["metadata"]["annotations"]["cloud.google.com/backend-config"])
    assert named == {"default": backend["metadata"]["name"]}
    assert f'"{backend["spec"]["timeoutSec"]}s"' in (CHECKOUT / "terraform" / "worker.tf").read_text()
    probe = read("deploy/k8s/deployment.yaml")["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    assert backend["spec"]["healthCheck"]["requestPath"] == probe["httpGet"]["path"]


def test_on_kubernetes_the_worker_writes_where_it_may() -> None:
    """Its root is read-only; what the engine compiles and the worker keeps is under HOME and OMNI_STATE_DIR."""
    (container,) = read("deploy/k8s/deployment.yaml")["spec"]["template"]["spec"]["containers"]
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    dockerfile = (CHECKOUT / "jobs" / "ml_worker" / "Dockerfile").read_text()
    assert set(re.findall(r"(?:HOME|OMNI_STATE_DIR)=(\S+)", dockerfile)) <= mounted


def test_the_kustomization_names_every_manifest() -> None:
    assert sorted(read("deploy/k8s/kustomization.yaml")["resources"]) == [file.name for file in MANIFESTS]


def test_on_kubernetes_a_model_may_take_five_minutes_to_load() -> None:
    (container,) = read("deploy/k8s/deployment.yaml")["spec"]["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    assert probe["httpGet"]["path"] == container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert probe["initialDelaySeconds"] + probe["periodSeconds"] * probe["failureThreshold"] >= 300


def test_settings_on_kubernetes_are_settings() -> None:
    given = read("deploy/k8s/settings.yaml")["data"]
    assert given.keys() <= SETTINGS
    assert Settings.load(given).is_local is False


def test_settings_of_compose_are_settings() -> None:
    for service in read("docker-compose.yml")["services"].values():
        assert service.get("environment", {}).keys() <= SETTINGS | SECRETS


def test_cloud_build_calls_verbs_and_holds_no_logic() -> None:
    """What it does can be done at home, by the same words."""
    for step in read("cloudbuild.yaml")["steps"]:
        assert "script" not in step
        assert step.get("entrypoint", "./omni") == "./omni"
        if "entrypoint" in step:
            passes(CHECKOUT / ".venv" / "bin" / "python", "-m", "cli", step["args"][0], "--help")


def test_workflows_may_read_and_no_more_unless_they_say_why() -> None:
    for file in (CHECKOUT / ".github" / "workflows").glob("*.yml"):
        permissions = yaml.safe_load(file.read_text())["permissions"]
        assert set(permissions.items()) <= {("contents", "read"), ("id-token", "write")}, file.name


def test_images_are_named_by_version() -> None:
    """`latest` would be another program tomorrow."""
    text = "".join(file.read_text() for file in DOCKERFILES) + json.dumps(read("docker-compose.yml"))
    assert ":latest" not in text
