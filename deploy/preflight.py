"""What must hold before anything is made. Each finding is a sentence that says what to do."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.google import Gcloud, Refused

PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
GPU_REGIONS = {
    "nvidia-l4": ("asia-southeast1", "europe-west1", "europe-west4", "us-central1", "us-east4"),
    "nvidia-rtx-pro-6000": ("asia-southeast1", "europe-west4"),
}
"""As in terraform/variables_worker.tf."""
QUOTA_WORDS = {"nvidia-l4": ("l4",), "nvidia-rtx-pro-6000": ("rtx", "6000")}
"""What the name of the quota holds, beside `gpu`."""
NEEDED_APIS = ("cloudresourcemanager.googleapis.com", "serviceusage.googleapis.com")
"""Terraform turns on all others, but needs these to begin."""
ENABLING = "gcloud services enable {} --project={}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be deployed."""

    project: str
    region: str
    name: str = "omni"
    accelerator: str = "nvidia-l4"
    """Empty: no GPU."""
    gpus: int = 1
    """Instances at most."""
    secrets: tuple[str, ...] = ()
    """Of your own, which the configuration names."""


def findings(wish: Wish, cloud: Gcloud) -> list[str]:
    """Everything that stands in the way; nothing is asked of a project whose id cannot be one."""
    if not PROJECT.fullmatch(wish.project):
        return [
            f"'{wish.project}' is not a project id: 6 to 30 lower-case letters, digits and hyphens, beginning with a "
            "letter. `gcloud projects list` shows the ids you may use."
        ]
    if missing := _project(wish, cloud):
        return [missing]
    return [
        *_billing(wish, cloud),
        *_apis(wish, cloud),
        *_region(wish, cloud),
        *_quota(wish, cloud),
        *_secrets(wish, cloud),
    ]


def _project(wish: Wish, cloud: Gcloud) -> str:
    try:
        found = cloud.ask("projects", "describe", wish.project)
    except Refused as refusal:
        return (
            f"The project '{wish.project}' does not exist, or you may not see it: `gcloud auth login`, then "
            f"`gcloud projects list`. ({refusal})"
        )
    state = found.get("lifecycleState", "ACTIVE")
    return "" if state == "ACTIVE" else f"The project '{wish.project}' is not active but {state}."


def _billing(wish: Wish, cloud: Gcloud) -> Iterator[str]:
    try:
        if not cloud.ask("billing", "projects", "describe", wish.project).get("billingEnabled"):
            yield (
                f"The project '{wish.project}' has no billing account: `gcloud billing projects link {wish.project} "
                "--billing-account=…` (`gcloud billing accounts list` shows yours)."
            )
    except Refused as refusal:
        yield f"It cannot be seen whether the project '{wish.project}' has a billing account: {refusal}"


def _apis(wish: Wish, cloud: Gcloud) -> Iterator[str]:
    enabled = {each["config"]["name"] for each in cloud.ask("services", "list", "--enabled")}
    if missing := [name for name in NEEDED_APIS if name not in enabled]:
        yield f"Terraform needs {' and '.join(missing)}: `{ENABLING.format(' '.join(missing), wish.project)}`."


def _region(wish: Wish, cloud: Gcloud) -> Iterator[str]:
    try:
        regions = {each["locationId"] for each in cloud.ask("run", "regions", "list")}
    except Refused:  # the API is off until Terraform turns it on
        regions = set()
    if regions and wish.region not in regions:
        yield f"'{wish.region}' is not a region of Cloud Run; for example europe-west4 is one."
    elif wish.accelerator and wish.region not in GPU_REGIONS[wish.accelerator]:
        yield (
            f"Cloud Run has no {wish.accelerator} in {wish.region}; these have it: "
            f"{', '.join(GPU_REGIONS[wish.accelerator])}."
        )


def _quota(wish: Wish, cloud: Gcloud) -> Iterator[str]:
    """Without zonal redundancy, as the worker runs."""
    if not wish.accelerator:
        return
    try:
        quotas = cloud.ask("beta", "quotas", "info", "list", "--service=run.googleapis.com")
    except Refused as refusal:
        enabling = ENABLING.format("cloudquotas.googleapis.com", wish.project)
        yield f"The GPU quota cannot be read: {refusal} (`{enabling}`)"
        return
    limits = [limit for quota in quotas if _is_for(quota, wish.accelerator) for limit in _limits(quota, wish.region)]
    if not limits:
        yield f"Cloud Run tells no quota for {wish.accelerator} in {wish.region}: the project may have none there."
    elif max(limits) < wish.gpus:
        yield (
            f"The quota for {wish.accelerator} in {wish.region} is {max(limits)}, and the worker may have {wish.gpus} "
            f"instances: ask for more at https://console.cloud.google.com/iam-admin/quotas?project={wish.project}, or "
            "deploy without a worker (--no-worker)."
        )


def _is_for(quota: dict[str, object], accelerator: str) -> bool:
    told = f"{quota.get('quotaId', '')} {quota.get('metric', '')}".lower().replace("_", " ")
    return "gpu" in told and all(word in told for word in QUOTA_WORDS[accelerator])


def _limits(quota: dict[str, object], region: str) -> Iterator[int]:
    """Of a region, or of every region that has none of its own."""
    infos = quota.get("dimensionsInfos", [])
    for info in infos if isinstance(infos, list) else []:
        if region in info.get("applicableLocations", [region]):
            yield int(info.get("details", {}).get("value", 0))


def _secrets(wish: Wish, cloud: Gcloud) -> Iterator[str]:
    if not wish.secrets:
        return
    try:
        there = {each["name"].rsplit("/", 1)[-1] for each in cloud.ask("secrets", "list")}
    except Refused:  # the API is off, so there is none
        there = set()
    for name in wish.secrets:
        if f"{wish.name}-{name}" not in there:
            yield (
                f"The secret {name} is missing: `gcloud secrets create {wish.name}-{name} --data-file=- "
                f"--project={wish.project}` reads it from the terminal."
            )
