"""The Portkey gateway from npm, in a folder of its own.

It has no keys, limits or usage of its own, which is in its favour.
"""

import shutil

from bench.contender import Contender, Prepared, Site, Unavailable
from bench.installation import install
from bench.processes import Program, free_port

VERSION = "1.15.2"
PACKAGE = "@portkey-ai/gateway"


def prepare(site: Site) -> Prepared:
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        raise Unavailable("there is no node and npm on PATH (on Debian: apt-get install npm)")
    folder = site.cache / f"portkey-{VERSION}"
    install(folder, [npm, "install", "--prefix", ".", "--no-audit", "--no-fund", f"{PACKAGE}@{VERSION}"])
    port = free_port()
    script = str(folder / "node_modules" / PACKAGE / "build/start-server.js")
    command = (node, script, "--headless", f"--port={port}")
    headers = (
        ("x-portkey-provider", "openai"),
        ("x-portkey-custom-host", f"{site.upstream}/v1"),
        ("authorization", "Bearer sk-upstream"),
    )
    return Prepared(VERSION, Program(command, port, {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}), headers)


CONTENDER = Contender("Portkey", "nothing", prepare)
