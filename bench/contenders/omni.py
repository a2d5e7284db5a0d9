"""Omni's gateway, started by the command that production uses, with everything on.

The key is a managed one with limits and a budget that are never reached, so that every request goes through them all;
it is made through the API, by a route function that is stopped again before anything is measured.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from bench import mock, omni
from bench.contender import Contender, Prepared, Site
from bench.gateway_report import OMNI
from bench.processes import CHECKOUT, BenchError, running
from bench.start import until_ready

EVERYTHING: Mapping[str, object] = MappingProxyType(
    {
        "requests_per_minute": 100_000_000,
        "requests_per_day": 1_000_000_000,
        "tokens_per_minute": 1_000_000_000,
        "concurrent_requests": 100_000,
        "budget": {"daily_usd": 1_000_000},
    }
)
"""The terms of a key that no load uses up."""
NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})
MODELS = """
[[model]]
id = "{model}"
upstreams = [{{ url = "{upstream}/v1" }}]
price = {{ input = 0.15, output = 0.6 }}
"""


def prepare(
    site: Site,
    terms: Mapping[str, object] = EVERYTHING,
    settings: Mapping[str, str] = NOTHING_ELSE,
    checkout: Path = CHECKOUT,
) -> Prepared:
    """The gateway of a checkout, with a key of these terms."""
    folder = site.scratch / str(checkout).strip("/").replace("/", "-")  # of two checkouts, each has a state of its own
    folder.mkdir()
    models = folder / "models.toml"
    models.write_text(MODELS.format(model=mock.MODEL, upstream=site.upstream))
    environment = {**omni.environment(folder / "state"), "OMNI_MODELS_FILE": str(models), **settings}
    key = _managed_key(site, environment, terms, checkout)
    program = omni.function("gateway", environment, "--asgi", checkout=checkout)
    return Prepared(omni.version(), program, (("authorization", f"Bearer {key}"),))


def _managed_key(site: Site, environment: dict[str, str], terms: Mapping[str, object], checkout: Path) -> str:
    program = omni.function("keys_create", environment, checkout=checkout)
    with running(program, site.scratch / "keys_create.log") as server:
        until_ready(server, "/api/health")
        return _create_key(program.port, environment["API_KEYS"], terms)


def _create_key(port: int, master: str, terms: Mapping[str, object]) -> str:
    wanted = {"name": "bench", "tenant": "bench", "tier": "premium", **terms}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/keys",
        json.dumps(wanted).encode(),
        {"authorization": f"Bearer {master}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            key: str = json.load(answer)["key"]
            return key
    except urllib.error.HTTPError as error:
        raise BenchError(f"no key could be made: {error.code} {error.read()[:300]!r}") from error


DOES = "key, 4 limits, budget, usage, cost, metrics, log"
CONTENDER = Contender(OMNI, DOES, prepare)


def of(checkout: Path) -> Contender:
    """Another checkout's gateway, with that one's own packages, to see what a change costs."""
    return Contender(f"{OMNI} in {checkout.name}", DOES, partial(prepare, checkout=checkout))
