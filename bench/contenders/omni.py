"""Omni's gateway, started by the command that production uses, with keys, limits, metrics and logs on.

The key is a managed one with a limit that is never reached, so that every request goes through the limiter; it is
made through the API, by a route function that is stopped again before anything is measured.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import MappingProxyType

from bench import mock, omni
from bench.contender import Contender, Prepared, Site
from bench.gateway_report import OMNI
from bench.processes import BenchError, running
from bench.start import until_ready

LIMIT = 100_000_000
NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})
MODELS = """
[[model]]
id = "{model}"
upstreams = [{{ url = "{upstream}/v1" }}]
"""


def prepare(site: Site, limit: int = LIMIT, settings: Mapping[str, str] = NOTHING_ELSE) -> Prepared:
    """A gateway with a key for `limit` requests a minute."""
    models = site.scratch / "models.toml"
    models.write_text(MODELS.format(model=mock.MODEL, upstream=site.upstream))
    environment = {**omni.environment(site.scratch / "state"), "OMNI_MODELS_FILE": str(models), **settings}
    key = _managed_key(site, environment, limit)
    program = omni.function("gateway", environment, "--asgi")
    return Prepared(omni.version(), program, (("authorization", f"Bearer {key}"),))


def _managed_key(site: Site, environment: dict[str, str], limit: int) -> str:
    program = omni.function("keys_create", environment)
    with running(program, site.scratch / "keys_create.log") as server:
        until_ready(server, "/api/health")
        return _create_key(program.port, environment["API_KEYS"], limit)


def _create_key(port: int, master: str, limit: int) -> str:
    wanted = {"name": "bench", "tenant": "bench", "tier": "premium", "requests_per_minute": limit}
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


CONTENDER = Contender(OMNI, "key, limit, metrics, log", prepare)
