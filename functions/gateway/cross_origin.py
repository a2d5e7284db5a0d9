"""Lets web pages of the operator's choice call the API (CORS, Fetch standard): their preflights need no key, and their
browsers are told that they may read the answers.

The API takes keys in headers and no cookies, so that a page can do nothing that its own key does not allow.
"""

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Stage
from shared.web.reply import Reply

ANY = "*"
PREFLIGHT = (
    ("access-control-allow-methods", "GET, HEAD, POST, PATCH, PUT, DELETE"),
    ("access-control-max-age", "600"),
)
EXPOSED = (b"access-control-expose-headers", b"*")
VARY = (b"vary", b"origin")


class CrossOrigin(Stage):
    def __init__(self, origins: str) -> None:
        """`origins` are separated by commas."""
        self._origins = frozenset(filter(None, (each.strip().rstrip("/") for each in origins.split(","))))

    def enter(self, exchange: Exchange) -> Reply | None:
        if not self._origins or not (origin := exchange.header(b"origin")):
            return None
        if ANY not in self._origins and origin not in self._origins:
            return None
        exchange.reply_headers += [(b"access-control-allow-origin", origin.encode("latin-1")), EXPOSED, VARY]
        if exchange.method != "OPTIONS" or b"access-control-request-method" not in exchange.headers:
            return None
        asked = exchange.header(b"access-control-request-headers")
        return Reply(204, b"", [*PREFLIGHT, *([("access-control-allow-headers", asked)] if asked else [])])
