"""A gcloud and a terraform for the PATH, which answer in the real ones' shapes and note what they are asked."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAM = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
words = sys.argv[1:]
with (folder / "asked").open("a") as asked:
    print({name!r}, *words, file=asked)
for answer in json.loads((folder / "answers.json").read_text()):
    if " ".join(words).startswith(answer["to"]) or f" {{answer['to']}} " in f" {{' '.join(words)}} ":
        sys.stderr.write(answer.get("error", ""))
        said = answer.get("says", "")
        sys.stdout.write(said if isinstance(said, str) else json.dumps(said))
        raise SystemExit(1 if answer.get("error") else 0)
sys.stderr.write("ERROR: nothing is known of " + " ".join(words))
raise SystemExit(1)
"""
PROJECT = "demo-project-1"
L4 = "NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion"


def quota(value: int, region: str = "europe-west4") -> dict[str, Any]:
    details = [{"applicableLocations": [region], "details": {"value": str(value)}, "dimensions": {"region": region}}]
    metric = "run.googleapis.com/nvidia_l4_gpu_allocation_no_zonal_redundancy"
    return {"quotaId": L4, "metric": metric, "service": "run.googleapis.com", "dimensionsInfos": details}


def serving(revision: str, latest: str) -> dict[str, Any]:
    """All traffic goes to `revision`, which may be older than the latest."""
    targets = [{"revisionName": revision, "percent": 100}, {"revisionName": latest, "tag": "latest"}]
    return {"latestReadyRevisionName": latest, "traffic": targets}


GOOD: Mapping[str, Any] = {
    "auth list": [{"account": "you@example.com", "status": "ACTIVE"}],
    "auth application-default print-access-token": "token",
    "projects describe": {"projectId": PROJECT, "projectNumber": "123456789012", "lifecycleState": "ACTIVE"},
    "billing projects describe": {"billingEnabled": True, "billingAccountName": "billingAccounts/012345-6789AB-CDEF01"},
    "services list": [
        {"config": {"name": f"{api}.googleapis.com"}, "state": "ENABLED"}
        for api in ("cloudresourcemanager", "serviceusage", "run")
    ],
    "run regions list": [{"locationId": region} for region in ("europe-west3", "europe-west4", "us-east4")],
    "beta quotas info list": [quota(3)],
    "secrets list": [{"name": "projects/123456789012/secrets/omni-FIRST_KEY"}],
    "run services list": [
        {"metadata": {"name": "omni-gateway"}, "status": serving("omni-gateway-00001", "omni-gateway-00002")},
        {"metadata": {"name": "another"}, "status": serving("another-00007", "another-00007")},
    ],
    "run services update-traffic": "",
    "secrets versions access": "master-key-root-1",
    "storage buckets describe": {},
    "console": json.dumps(json.dumps({})),
    "init": "",
    "plan": "",
    "apply": "",
    "show": {
        "resource_changes": [
            {"mode": "managed", "address": "google_redis_instance.this[0]", "change": {"actions": ["create"]}},
            {"mode": "managed", "address": "google_storage_bucket.old", "change": {"actions": ["delete"]}},
            {"mode": "data", "address": "data.google_project.this", "change": {"actions": ["read"]}},
        ]
    },
}


class Cloud:
    """Answers as GOOD does, but for what a test changes; an answer that is an exception's text is a refusal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.answers: dict[str, Any] = dict(GOOD)
        self.refusals: dict[str, str] = {}
        for name in ("gcloud", "terraform"):
            (folder / name).write_text(PROGRAM.format(python=sys.executable, folder=str(folder), name=name))
            (folder / name).chmod(0o755)
        self.path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        self.say()

    def say(self) -> None:
        """Makes the answers as they now are known."""
        told = [{"to": to, "error": text} for to, text in self.refusals.items()]
        told += [{"to": to, "says": says} for to, says in self.answers.items()]
        (self._folder / "answers.json").write_text(json.dumps(sorted(told, key=lambda each: -len(each["to"]))))

    @property
    def asked(self) -> list[str]:
        file = self._folder / "asked"
        return file.read_text().splitlines() if file.exists() else []
