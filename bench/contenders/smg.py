"""smg, the SGLang project's gateway in Rust, from PyPI in a virtual environment of its own.

It routes between workers; it has no keys, limits or usage here, which is in its favour.
"""

from bench.contender import Contender, Prepared, Site
from bench.installation import install_python
from bench.processes import Program, free_port

VERSION = "1.13.0"
MANY = ("--max-concurrent-requests", "8192")


def prepare(site: Site) -> Prepared:
    binaries = install_python(site.cache / f"smg-{VERSION}", f"smg=={VERSION}")
    port = free_port()
    flags = ("--host", "127.0.0.1", "--port", str(port), "--worker-urls", site.upstream)
    command = (str(binaries / "smg"), "launch", *flags, "--backend", "openai", "--log-level", "error", *MANY)
    return Prepared(VERSION, Program(command, port, {"TOKIO_WORKER_THREADS": "1"}))


CONTENDER = Contender("smg", "nothing", prepare)
