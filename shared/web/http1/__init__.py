"""HTTP/1.1 for ASGI applications: a protocol for uvicorn's server, in place of uvicorn's own.

Parsing is httptools' (llhttp, Node's parser). What is ours is what a gateway on the open internet needs around it:
docs/adr/0006.
"""

from shared.web.http1.connection import MOST_HEAD_BYTES, HttpConnection

__all__ = ["MOST_HEAD_BYTES", "HttpConnection", "http_protocol", "serve_functions"]


def http_protocol(head_s: float) -> type[HttpConnection]:
    """The protocol for heads that may take so long, as uvicorn's `http` option takes it."""
    return type("BoundedHttpConnection", (HttpConnection,), {"head_s": head_s})


def serve_functions(head_s: float) -> None:
    """Has the Functions Framework's ASGI server speak it. The framework takes no options for its server; the worker
    class's own table of options is the one place where they can be given.

    Without uvicorn's proxy headers: whom to believe where a request comes from is decided in shared/core/addresses.py.
    """
    from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

    ours = {"http": http_protocol(head_s), "proxy_headers": False}
    UvicornWorker.CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, **ours}
