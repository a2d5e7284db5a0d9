"""HTTP/1.1 for ASGI applications: a protocol for uvicorn's server, in place of uvicorn's own.

Parsing is httptools' (llhttp, Node's parser). What is ours is what a gateway on the open internet needs around it:
docs/adr/0006.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from shared.web.http1.answering import Answering
from shared.web.http1.bounds import READ_BYTES, ConnectionBounds, PeerConnections, UnreadAnswers
from shared.web.http1.connection import MOST_HEAD_BYTES, HttpConnection

__all__ = [
    "MOST_HEAD_BYTES", "Answering", "ConnectionBounds", "HttpConnection", "direct_protocol", "http_protocol",
    "serve_functions",
]  # fmt: skip

Handler = Callable[[Answering], asyncio.Task[None] | None]
"""Gives the task that goes on with the request, if there is one: a server that stops waits for it."""


def http_protocol(bounds: ConnectionBounds) -> Any:
    """The protocol within these bounds, as uvicorn's `http` option takes it; its types know no buffered protocols."""
    of_all = {
        "received": bytearray(READ_BYTES),
        "unread": UnreadAnswers(bounds.unread_bytes),
        "peers": PeerConnections(bounds.per_address),
    }
    return type("BoundedHttpConnection", (HttpConnection,), {"bounds": bounds, **of_all})


def direct_protocol(bounds: ConnectionBounds, handler: Handler) -> Any:
    """The same for a handler of requests that is called in place of an ASGI application."""

    class DirectHttpConnection(http_protocol(bounds)):  # type: ignore[misc]
        holds_requests = True

        def handle(self, answering: Answering) -> None:
            if task := handler(answering):
                self.wait_for(task)

    return DirectHttpConnection


def serve_functions(bounds: ConnectionBounds, handler: Handler) -> None:
    """Has the Functions Framework's ASGI server speak it. The framework takes no options for its server; the worker
    class's own table of options is the one place where they can be given.

    Without uvicorn's proxy headers: whom to believe where a request comes from is decided in shared/core/addresses.py.
    """
    from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

    ours = {"http": direct_protocol(bounds, handler), "proxy_headers": False}
    UvicornWorker.CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, **ours}
