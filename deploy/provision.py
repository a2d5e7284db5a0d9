"""Terraform, with the state in a bucket of the project."""

import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from deploy.google import CloudError, Gcloud, Refused

CONFIGURATION = Path(__file__).resolve().parent.parent / "terraform"
PLAN = "omni.tfplan"
GIVEN = "omni.tfvars.json"
SIZE = 'variable "worker_size" {\n  type    = any\n  default = {}\n}\n'
"""All that has to be known of the configuration to read that one variable from files."""
ACTIONS = {("create",): "to make", ("update",): "to change", ("delete",): "to remove"}
REPLACED = "to replace"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a plan would do."""

    actions: Mapping[str, int]
    """How many resources, by what happens to them."""
    removed: tuple[str, ...]
    """The addresses of those that are removed or replaced: data may go with them."""

    @property
    def text(self) -> str:
        return ", ".join(f"{number} {action}" for action, number in sorted(self.actions.items())) or "nothing to do"


class WorkerSize(msgspec.Struct, frozen=True):
    """As far as it is asked for before the plan; the defaults are those of terraform/variables_worker.tf."""

    accelerator: str = "nvidia-l4"
    max_instances: int = 1


def worker_size(files: Sequence[Path]) -> WorkerSize:
    """What the files say of the size of the worker, as Terraform reads them; the last one that says it counts."""
    chosen = [f"-var-file={file}" for file in files]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "size.tf").write_text(SIZE)
        told = Terraform(Path(folder)).ask("jsonencode(var.worker_size)", chosen)
    text = json.loads(told.splitlines()[-1])  # after warnings of other variables
    return msgspec.json.decode(text, type=WorkerSize)


class Terraform:
    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or CONFIGURATION

    def begin(self, bucket: str) -> None:
        self._run("init", "-input=false", "-reconfigure", f"-backend-config=bucket={bucket}")

    def plan(self, files: list[Path], given: Mapping[str, object], *, destroy: bool = False) -> Summary:
        (self._folder / GIVEN).write_text(json.dumps(given))
        chosen = [f"-var-file={file}" for file in [*files, GIVEN]]
        self._run("plan", "-input=false", f"-out={PLAN}", *(["-destroy"] if destroy else []), *chosen)
        return summary(json.loads(self._run("show", "-json", PLAN)))

    def apply(self) -> None:
        self._run("apply", "-input=false", PLAN, shown=True)

    def outputs(self) -> dict[str, Any]:
        return {name: each["value"] for name, each in json.loads(self._run("output", "-json")).items()}

    def ask(self, expression: str, options: Sequence[str]) -> str:
        """An expression's value, in Terraform's own words."""
        return self._run("console", *options, asks=expression)

    def _run(self, *words: str, shown: bool = False, asks: str = "") -> str:
        program = shutil.which("terraform")
        if not program:
            raise CloudError("terraform is not installed: https://developer.hashicorp.com/terraform/install")
        command = [
            program,
            f"-chdir={self._folder}",
            words[0],
            *([] if words[0] in {"show", "console"} else ["-no-color"]),
            *words[1:],
        ]
        told = None if shown else subprocess.PIPE
        done = subprocess.run(command, stdout=told, stderr=subprocess.PIPE, text=True, input=asks, check=False)  # noqa: S603
        if done.returncode:
            raise CloudError(f"terraform {words[0]} failed.\n{done.stderr.strip()}")
        return done.stdout or ""


def summary(plan: Mapping[str, Any]) -> Summary:
    changes = [each for each in plan.get("resource_changes", []) if each["mode"] == "managed"]
    actions = Counter(_action(each) for each in changes)
    removed = [each["address"] for each in changes if "delete" in each["change"]["actions"]]
    return Summary({name: number for name, number in actions.items() if name}, tuple(sorted(removed)))


def _action(change: Mapping[str, Any]) -> str:
    actions = tuple(change["change"]["actions"])
    return REPLACED if len(actions) > 1 else ACTIONS.get(actions, "")


def state_bucket(cloud: Gcloud, name: str) -> str:
    """Of the bucket that holds Terraform's state."""
    return f"{cloud.project}-{name}-state"


def has_state(cloud: Gcloud, name: str) -> bool:
    """Whether anything was ever deployed."""
    try:
        cloud.run("storage", "buckets", "describe", f"gs://{state_bucket(cloud, name)}")
    except Refused:
        return False
    return True


def make_state_bucket(cloud: Gcloud, name: str, region: str) -> str:
    """Its name; made when it is not there."""
    bucket = state_bucket(cloud, name)
    if not has_state(cloud, name):
        private = ("--uniform-bucket-level-access", "--public-access-prevention")
        cloud.run("storage", "buckets", "create", f"gs://{bucket}", f"--location={region}", *private)
        cloud.run("storage", "buckets", "update", f"gs://{bucket}", "--versioning")
    return bucket
