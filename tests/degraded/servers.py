"""Servers on real connections, each in a thread of its own, that can be stopped and started at the same address."""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import uvicorn
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from functions.gateway.main import Gateway
from shared.web.flask import FlaskEdge
from tests.gateway.answers import WHOLE
from tests.machine import free_port


class Server(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


class GatewayServer:
    """An ASGI application, its event loop in a thread."""

    def __init__(self, application: Gateway, close: Callable[[], Awaitable[None]]) -> None:
        self._close = close
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._server.serve([self._listener]))
            runner.run(_awaited(self._close))


async def _awaited(action: Callable[[], Awaitable[None]]) -> None:
    await action()


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object, **__: object) -> None:
        """Tests read their own output."""


class WsgiServer:
    """Accepts connections while it runs, and refuses them while it does not."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self._application, threaded=True, request_handler=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    server.stop()
    yield
    server.start()


@Request.application
def model(request: Request) -> Response:
    """A model's server."""
    request.get_data()
    return Response(json.dumps(WHOLE), content_type="application/json", headers={"connection": "close"})


def functions(edge: Callable[[], FlaskEdge]) -> Callable[..., Any]:
    """The route functions; built at the first request, as a function's instance is."""
    import flask

    application = flask.Flask("functions")
    built: list[FlaskEdge] = []

    @application.route("/", defaults={"path": ""}, methods=["GET", "POST"])
    @application.route("/<path:path>", methods=["GET", "POST"])
    def serve(path: str) -> flask.Response:
        if not built:
            built.append(edge())
        response = built[0].serve(flask.request)
        response.headers["connection"] = "close"
        return response

    return application
