"""rolter, a gateway in Rust, from PyPI in a virtual environment of its own.

Its virtual key is checked; it counts nothing against a limit or a budget here, which is in its favour.
"""

from bench import mock
from bench.contender import Contender, Prepared, Site
from bench.installation import install_python
from bench.processes import Program, free_port

VERSION = "0.1.0"
KEY = "sk-bench"
CONFIGURATION = """
[server]
host = "127.0.0.1"
port = {port}
[queue]
enabled = false
[[providers]]
name = "mock"
kind = "openai_compatible"
api_base = "{upstream}"
[[routes]]
model = "{model}"
strategy = "round_robin"
[[routes.targets]]
provider = "mock"
model = "{model}"
[[virtual_keys]]
key = "{key}"
name = "bench"
"""


def prepare(site: Site) -> Prepared:
    binaries = install_python(site.cache / f"rolter-{VERSION}", f"rolter=={VERSION}")
    port = free_port()
    configuration = site.scratch / "rolter.toml"
    configuration.write_text(CONFIGURATION.format(port=port, upstream=site.upstream, model=mock.MODEL, key=KEY))
    command = (str(binaries / "rolter"), "gateway", "-c", str(configuration))
    program = Program(command, port, {"TOKIO_WORKER_THREADS": "1"})
    return Prepared(VERSION, program, (("authorization", f"Bearer {KEY}"),))


CONTENDER = Contender("rolter", "key", prepare)
