"""TensorZero's gateway, in Rust, from its Python package: the one that it embeds, served over HTTP.

Its database of requests is off, and so are keys, limits and usage, which is in its favour.
"""

from bench import mock
from bench.contender import Contender, Prepared, Site
from bench.installation import install_python
from bench.processes import Program

VERSION = "2026.6.0"
CONFIGURATION = """
[gateway]
observability.enabled = false
[models.{model}]
routing = ["mock"]
[models.{model}.providers.mock]
type = "openai"
model_name = "{model}"
api_base = "{upstream}/v1/"
api_key_location = "none"
"""
SERVE = """
import sys, threading
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print(gateway.base_url, flush=True)
threading.Event().wait()
"""


def prepare(site: Site) -> Prepared:
    binaries = install_python(site.cache / f"tensorzero-{VERSION}", f"tensorzero=={VERSION}")
    configuration = site.scratch / "tensorzero.toml"
    configuration.write_text(CONFIGURATION.format(upstream=site.upstream, model=mock.MODEL))
    program = Program((str(binaries / "python"), "-c", SERVE, str(configuration)), 0, {"TOKIO_WORKER_THREADS": "1"})
    return Prepared(VERSION, program, path=f"/openai{mock.PATH}", model=f"tensorzero::model_name::{mock.MODEL}")


CONTENDER = Contender("TensorZero", "nothing", prepare)
