"""nginx as a plain proxy: what passing a request on costs at the least."""

from bench import nginx
from bench.contender import Contender, Prepared, Site, Unavailable
from bench.processes import free_port

PROXY = """
    upstream mock {{ server {address}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header connection ""; }}
    }}
"""


def prepare(site: Site) -> Prepared:
    if not nginx.found():
        raise Unavailable("there is no nginx on PATH (on Debian: apt-get install nginx-light)")
    port = free_port()
    proxy = PROXY.format(port=port, address=site.upstream.removeprefix("http://"))
    return Prepared(nginx.version(), nginx.program(site.scratch / "proxy", port, proxy))


CONTENDER = Contender("nginx", "nothing", prepare)
