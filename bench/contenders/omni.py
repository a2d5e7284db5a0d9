"""Omni's gateway, started by the command that production uses, with keys, limits, metrics and logs on.

The key is a managed one with a limit that is never reached, so that every request goes through the limiter; it is
made through the API, by a route function that is stopped again before anything is measured.
"""

import json
import secrets
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

from bench import mock
from bench.contender import Contender, Prepared, Site
from bench.gateway_report import OMNI
from bench.processes import CHECKOUT, BenchError, Program, free_port, running
from bench.start import until_ready

LIMIT = 100_000_000
MODELS = """
[[model]]
id = "{model}"
upstreams = [{{ url = "{upstream}/v1" }}]
"""


def prepare(site: Site) -> Prepared:
    models = site.scratch / "models.toml"
    models.write_text(MODELS.format(model=mock.MODEL, upstream=site.upstream))
    master = f"master-key-bench-{secrets.token_hex(16)}"
    environment = {
        "OMNI_ENV": "local",
        "OMNI_MODELS_FILE": str(models),
        "OMNI_STATE_DIR": str(site.scratch / "state"),
        "API_KEYS": master,
        "OMNI_KEY_PEPPER": secrets.token_hex(16),
        "OMNI_SIGNING_KEY": secrets.token_hex(16),
    }
    key = _managed_key(site, environment, master)
    return Prepared(_version(), function("gateway", environment, "--asgi"), (("authorization", f"Bearer {key}"),))


def function(target: str, environment: dict[str, str], *flags: str) -> Program:
    """A Cloud Function as the Functions Framework serves it."""
    framework = str(Path(sys.executable).parent / "functions-framework")
    port = free_port()
    own = {"HOST": "127.0.0.1", "PORT": str(port)}
    return Program((framework, "--target", target, *flags), port, {**environment, **own})


def _managed_key(site: Site, environment: dict[str, str], master: str) -> str:
    program = function("keys_create", environment)
    with running(program, site.scratch / "keys_create.log") as server:
        until_ready(server, "/api/health")
        return _create_key(program.port, master)


def _create_key(port: int, master: str) -> str:
    wanted = {"name": "bench", "tenant": "bench", "tier": "premium", "requests_per_minute": LIMIT}
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


def _version() -> str:
    version: str = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    return version


CONTENDER = Contender(OMNI, "key, limit, metrics, log", prepare)
