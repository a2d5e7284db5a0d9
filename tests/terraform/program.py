"""Terraform itself, on a copy of the configuration.

The provider's schema comes from a stand-in beside the checkout where there is one (TFCHECK names another place), and no
registry is needed then; else Terraform fetches the provider itself.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from local import package
from shared import manifest
from tests.tools import environment_with

CHECKOUT = Path(__file__).resolve().parent.parent.parent
CONFIGURATION = CHECKOUT / "terraform"
STAND_IN = Path(os.environ.get("TFCHECK", CHECKOUT.parent / "shared" / "tools" / "tfcheck"))
PROGRAM = shutil.which("terraform") or ""
PROJECT = "demo-project-1"
PROJECT_NUMBER = 123456789012
MOCKED = f"""
mock_provider "google" {{
  mock_data "google_project" {{ defaults = {{ number = "{PROJECT_NUMBER}" }} }}
}}
run "plan" {{ command = plan }}
"""
"""A plan without an account: what a data source tells is made up, all else is as the provider plans it."""
WHOLE: Mapping[str, object] = {
    "worker": {"image": f"europe-west4-docker.pkg.dev/{PROJECT}/omni/ml-worker:1", "model": "a-model", "weights": "a"},
    "load_balancer": {"domain": "ai.example.com", "direct_routes": ["models_list", "models_get", "jobs_create"]},
    "own_secrets": ["OTHER_UPSTREAM_KEY"],
    "alert_emails": ["ops@example.com"],
    "budget": {"billing_account": "012345-6789AB-CDEF01", "monthly_amount": 100},
    "github_repository": "example/omni",
}
"""With envs/prod.tfvars: everything that can be had."""


LATER = "(known after apply)"


class NotPlanned(Exception):
    """Terraform refuses; the message is all it said, on one line."""


@dataclass(frozen=True, slots=True)
class Resource:
    address: str
    type: str
    key: str
    """Of `for_each`; empty for a resource without."""
    values: Mapping[str, Any]
    """What is known before it is made."""

    @property
    def service(self) -> Mapping[str, Any]:
        """A function's service_config."""
        found: Mapping[str, Any] = self.values["service_config"][0]
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    resources: tuple[Resource, ...]

    def of(self, kind: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type == kind]

    def functions(self) -> dict[str, Resource]:
        """By entry point."""
        return {
            each.values["build_config"][0]["entry_point"]: each for each in self.of("google_cloudfunctions2_function")
        }

    def listing(self) -> str:
        """Every resource with what tells it apart, a line each; rows of the manifest by their scope and kind only."""
        return "".join(f"{line}\n" for line in sorted(set(map(_line, self.resources))))


TOLD = ("name", "account_id", "secret_id", "service", "collection", "field", "role", "member", "ingress")
ROWS = {
    text: f"<{route.scope} {route.kind}>"
    for route in manifest.load()
    for text in (route.name, route.name.replace("_", "-"))
}
ROW = re.compile(r"\b(" + "|".join(sorted(ROWS, key=len, reverse=True)) + r")\b")


def _line(resource: Resource) -> str:
    if resource.type in {"google_storage_bucket_object", "google_firestore_index", "google_firestore_field"}:
        return resource.address.partition("[")[0]  # made of the code, where they are tested
    told = [f"{name}={resource.values[name]}" for name in TOLD if resource.values.get(name) not in {None, LATER}]
    return ROW.sub(lambda found: ROWS[found[0]], " ".join([resource.address, *told]))


@dataclass(frozen=True, slots=True)
class Terraform:
    folder: Path
    """A copy of the configuration, initialised."""
    environment: Mapping[str, str]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [PROGRAM, f"-chdir={self.folder}", *words],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def plan(self, environment: str, variables: Mapping[str, object]) -> Plan:
        """What would be made from nothing; NotPlanned when Terraform refuses."""
        (self.folder / "given.tfvars.json").write_text(json.dumps({"project": PROJECT, **variables}))
        files = [f"-var-file=envs/{environment}.tfvars", "-var-file=given.tfvars.json"]
        done = self.run("test", "-json", "-verbose", "-filter=tests/plan.tftest.hcl", *files)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        for message in told:
            if message["type"] == "test_plan" and done.returncode == 0:
                return Plan(tuple(_resources(message["test_plan"]["resource_changes"])))
        raise NotPlanned(" ".join(" ".join(_complaint(message) for message in told).split()) or done.stderr)


def _resources(changes: list[dict[str, Any]]) -> Iterator[Resource]:
    for change in changes:
        if change["mode"] == "managed":
            key = str(change.get("index", ""))
            yield Resource(
                change["address"],
                change["type"],
                key,
                _known(change["change"]["after"], change["change"]["after_unknown"]),
            )


def _known(after: Any, unknown: Any) -> Any:
    """The planned value, LATER standing for each part that is not known yet."""
    if unknown is True:
        return LATER
    if isinstance(unknown, dict) and isinstance(after, dict):
        return {name: _known(after.get(name), unknown.get(name)) for name in {**after, **unknown}}
    if isinstance(unknown, list) and isinstance(after, list):
        return [_known(each, its_unknown) for each, its_unknown in zip_longest(after, unknown)]
    return after


def _complaint(message: dict[str, Any]) -> str:
    found = message.get("diagnostic", {})
    return f"{found.get('summary', '')} {found.get('detail', '')}"


@contextmanager
def terraform(folder: Path) -> Iterator[Terraform]:
    if not PROGRAM:
        pytest.skip("there is no terraform on the PATH (https://developer.hashicorp.com/terraform/install)")
    copy = folder / "terraform"
    shutil.copytree(CONFIGURATION, copy, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    (folder / "functions").mkdir()
    shutil.copy(CHECKOUT / "functions" / "routes.json", folder / "functions")
    package.write(folder / ".omni" / "dist" / "functions.zip", CHECKOUT / "models.toml")
    (copy / "tests" / "plan.tftest.hcl").write_text(MOCKED)
    with _providers() as environment:
        program = Terraform(copy, {**os.environ, **environment})
        initialised = program.run("init", "-backend=false", "-no-color", "-input=false")
        if initialised.returncode and not environment:
            pytest.skip(f"terraform cannot fetch the provider: {initialised.stderr.strip()[-300:]}")
        assert initialised.returncode == 0, initialised.stderr
        yield program


@contextmanager
def _providers() -> Iterator[dict[str, str]]:
    """What tells Terraform of the stand-in, which runs as long as the context; nothing where there is none."""
    if not (STAND_IN / "tfcheck.py").exists():
        yield {}
        return
    python = environment_with(STAND_IN / "requirements.txt")
    tell = [
        sys.executable,
        "-c",
        "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()",
    ]
    command = [str(python), str(STAND_IN / "tfcheck.py"), "run", "--", *tell]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        told: dict[str, str] = json.loads(process.stdout.readline())
        try:
            yield {name: value for name, value in told.items() if name.startswith(("TF_", "CHECKPOINT"))}
        finally:
            process.stdin.close()
            process.wait()
