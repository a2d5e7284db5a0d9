"""Which revision of a service gets the traffic: kept before a deployment, given back when it does not work."""

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.google import Gcloud, Refused

Revisions = Mapping[str, str]
"""The revision that serves, by service."""


def serving(cloud: Gcloud, name: str, region: str) -> Revisions:
    """Of every service of the platform; none when there is no platform yet."""
    try:
        services = cloud.ask("run", "services", "list", f"--region={region}")
    except Refused:  # the API is off: nothing runs
        return {}
    found = {each["metadata"]["name"]: _busiest(each.get("status", {}).get("traffic", [])) for each in services}
    return {service: revision for service, revision in found.items() if service.startswith(f"{name}-") and revision}


def _busiest(targets: Sequence[Mapping[str, Any]]) -> str:
    """Not the latest one: traffic may have been given back to an older revision."""
    most = max(targets, key=lambda each: int(each.get("percent", 0)), default={})
    return str(most.get("revisionName", ""))


def give_back(cloud: Gcloud, region: str, before: Revisions, now: Revisions) -> list[str]:
    """Sends all traffic to the revisions of before where others serve now; the services it was done for."""
    changed = [service for service, revision in before.items() if now.get(service, revision) != revision]
    for service in changed:
        to = f"--to-revisions={before[service]}=100"
        cloud.run("run", "services", "update-traffic", service, f"--region={region}", to)
    return changed
