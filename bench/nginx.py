"""nginx as the benches use it: one worker process, everything in one folder, no access log."""

import re
import shutil
import subprocess
from pathlib import Path

from bench.processes import Program

CONFIGURATION = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
}}
"""


def found() -> str | None:
    """The path of the nginx on this machine."""
    return shutil.which("nginx")


def version() -> str:
    printed = subprocess.run([found() or "nginx", "-v"], capture_output=True, text=True, check=True)  # noqa: S603
    number = re.search(r"nginx/(\S+)", printed.stderr)
    return number[1] if number else "?"


def program(folder: Path, port: int, http: str) -> Program:
    """nginx with these directives in its `http` block, which must listen on the port."""
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, http=http))
    return Program((found() or "nginx", "-e", "stderr", "-c", str(configuration)), port)
