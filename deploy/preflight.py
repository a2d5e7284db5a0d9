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
KNOWN_REGIONS = (
    *("africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3"),
    *("asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "australia-southeast1"),
    *("australia-southeast2", "europe-central2", "europe-north1", "europe-north2", "europe-southwest1"),
    *("europe-west1", "europe-west2", "europe-west3", "europe-west4", "europe-west6", "europe-west8", "europe-west9"),
    *("europe-west10", "europe-west12", "me-central1", "me-central2", "me-west1", "northamerica-northeast1"),
    *("northamerica-northeast2", "northamerica-south1", "southamerica-east1", "southamerica-west1", "us-central1"),
    *("us-east1", "us-east4", "us-east5", "us-south1", "us-west1", "us-west2", "us-west3", "us-west4"),
)
"""Asked of Cloud Run where it can be; an empty project has its API off."""
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
    """Everything that stands in the way."""
    if missing := reach(wish.project, cloud):
        return [missing]
    return [
        *_terraforms_login(cloud),
        *_billing(wish, cloud),
        *_apis(wish, cloud),
        *_region(wish, cloud),
        *_quota(wish, cloud),
        *_secrets(wish, cloud),
    ]


def reach(project: str, cloud: Gcloud) -> str:
    """Why the project cannot be seen; nothing is asked about one whose id cannot be one."""
    if not PROJECT.fullmatch(project):
        return (
            f"'{project}' is not a project id: 6 to 30 lower-case letters, digits and hyphens, beginning with a "
            "letter. `gcloud projects list` shows the ids you may use."
        )
    return _login(cloud) or _project(project, cloud)


def _login(cloud: Gcloud) -> str:
    if cloud.ask("auth", "list", "--filter=status:ACTIVE"):
        return ""
    return "You are not logged in: `gcloud auth login`, then `gcloud auth application-default login`."


def _terraforms_login(cloud: Gcloud) -> Iterator[str]:
    try:
        cloud.run("auth", "application-default", "print-access-token")
    except Refused:
        yield "Terraform has no credentials of yours: `gcloud auth application-default login`."


def _project(project: str, cloud: Gcloud) -> str:
    try:
        found = cloud.ask("projects", "describe", project)
    except Refused as refusal:
        return (
            f"The project '{project}' does not exist, or you may not see it; `gcloud projects list` "
            f"shows those that you may. ({refusal})"
        )
    state = found.get("lifecycleState", "ACTIVE")
    return "" if state == "ACTIVE" else f"The project '{project}' is not active but {state}."


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
        regions = set(KNOWN_REGIONS)
    if wish.region not in regions:
        yield (
            f"'{wish.region}' is not a region of Cloud Run; for example europe-west4 is one. (If it is a new one: "
            f"`{ENABLING.format('run.googleapis.com', wish.project)}`, and it will be known.)"
        )
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
            "deploy without a worker (leave out --image)."
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
