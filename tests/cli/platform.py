"""A platform of one file: a real HTTP server that answers in the documented shapes and keeps its state in memory."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.cli.batch_platform import BatchPlatform
from tests.cli.platform_hooks import Hooks, Said, problem

MODEL = "smollm2-135m-instruct"
MASTER = "master-key-test"


class Breaks(Exception):
    """Raised by a streamed body: the connection ends in the middle of it."""


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


def stream(*events: object) -> Iterator[bytes]:
    """Server-sent events; a Breaks among them ends the connection there."""
    for event in events:
        if isinstance(event, Breaks):
            raise event
        yield b"data: " + (event.encode() if isinstance(event, str) else json.dumps(event).encode()) + b"\n\n"


def chunk(text: str) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    "usage": USAGE,
}
ENDING = ({"choices": [], "usage": USAGE}, "[DONE]")


class Platform:
    """Answers `MODEL` chats with "Paris.", runs each job while it is looked at, and keeps keys with their limits."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.instead: dict[tuple[str, str], Callable[[Asked], Said]] = {}
        """Answers that a test wants at a method and path instead of the usual ones."""
        self.ending: dict[str, Any] = {"state": "succeeded", "result": COMPLETION}
        """What a job becomes in the end."""
        self.jobs: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.batches = BatchPlatform()
        self.hooks = Hooks()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Platform":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        if special := self.instead.get((asked.method, asked.path)):
            return special(asked)
        if refused := self._refusal(asked):
            return refused
        match asked.method, asked.path.strip("/").split("/"):
            case "GET", ["v1", "models"]:
                return Said(200, {"object": "list", "data": [_card()]})
            case "POST", ["v1", "chat", "completions"]:
                text = stream(chunk("Par"), chunk("is."), *ENDING)
                return Said(200, text if asked.body.get("stream") else COMPLETION)
            case method, ["api", "v1", "keys", *rest]:
                return self._keys(method, rest, asked)
            case method, ["api", "v1", "jobs", *rest]:
                return self._jobs(method, rest, asked)
            case method, ["v1", "files" | "uploads" | "batches" as kind, *rest]:
                status, body = self.batches.answer(method, [kind, *rest], asked.body, COMPLETION)
                return Said(status, body) if body is not None else problem(404, "There is no such thing.", "not_found")
            case method, ["api", "v1", "webhooks", *rest]:
                return self.hooks.answer(method, rest, asked.body)
        return problem(404, "There is nothing at this address.", "not_found")

    def _refusal(self, asked: Asked) -> Said | None:
        if asked.key == MASTER:
            return None
        key = next((key for key in self.keys.values() if key["key"] == asked.key), None)
        if key is None or key["revoked_at"]:
            return problem(401, "No valid API key was given.", "invalid_api_key")
        key["used"] += 1
        if key["used"] > key["requests_per_minute"] > 0:
            return problem(429, "The limit is reached.", "rate_limit_exceeded", {"Retry-After": "42"})
        return None

    def _keys(self, method: str, rest: list[str], asked: Asked) -> Said:
        match method, rest:
            case "POST", []:
                key = _key(f"key{len(self.keys)}", asked.body)
                self.keys[key["id"]] = key
                return Said(201, _without(key, "used"))
            case "GET", []:
                return _page([_without(key, "used", "key") for key in self.keys.values()])
            case "GET", [key_id] if key_id in self.keys:
                return Said(200, _without(self.keys[key_id], "used", "key"))
            case "PATCH", [key_id] if key_id in self.keys:
                self.keys[key_id] |= asked.body
                return Said(200, _without(self.keys[key_id], "used", "key"))
            case "POST", [key_id, "rotate"] if key_id in self.keys:
                self.keys[key_id]["key"] += "x"
                return Said(200, _without(self.keys[key_id], "used"))
            case "DELETE", [key_id] if key_id in self.keys:
                self.keys[key_id]["revoked_at"] = 1700000100.0
                return Said(200, _without(self.keys[key_id], "used", "key"))
        return problem(404, "There is no such key.", "not_found")

    def _jobs(self, method: str, rest: list[str], asked: Asked) -> Said:
        match method, rest:
            case "POST", []:
                job = _job(f"job{len(self.jobs)}", asked.body["task"])
                self.jobs[job["id"]] = job
                if hook := asked.body.get("webhook"):
                    self.hooks.tell(hook["url"], job)
                return Said(202, job)
            case "GET", []:
                return _page(list(self.jobs.values()))
            case "GET", [job_id] if job_id in self.jobs:
                shown = dict(self.jobs[job_id])
                self.jobs[job_id] |= self._next(shown["state"])
                return Said(200, shown)
            case "POST", [job_id, "retry"] if job_id in self.jobs:
                self.jobs[job_id] |= {"state": "queued", "finished_at": None}
                return Said(202, self.jobs[job_id])
            case "POST", [job_id, "cancel"] if job_id in self.jobs:
                self.jobs[job_id] |= {"state": "cancelled", "finished_at": 1700000002.0}
                return Said(200, self.jobs[job_id])
        return problem(404, "There is no such job.", "not_found")

    def _next(self, state: str) -> dict[str, Any]:
        if state == "queued":
            return {"state": "running", "substate": None, "attempt": 1, "started_at": 1700000001.0}
        return self.ending | {"finished_at": 1700000002.5} if state == "running" else {}


def _card() -> dict[str, Any]:
    return {"id": MODEL, "object": "model", "created": 1, "owned_by": "omni", "kinds": ["chat"], "context": 8192}


def _key(key_id: str, wanted: dict[str, Any]) -> dict[str, Any]:
    usual = {"tenant": "default", "tier": "free", "scopes": ["inference", "jobs"], "requests_per_minute": 10}
    made = {"id": key_id, "object": "key", "created_at": 1700000000.0, "revoked_at": None, "used": 0}
    return usual | wanted | made | {"key": f"omni_{key_id}_secret"}


def _job(job_id: str, task: str) -> dict[str, Any]:
    return {
        "id": job_id,
        "object": "job",
        "task": task,
        "state": "queued",
        "substate": "dispatched",
        "attempt": 0,
        "max_attempts": 3,
        "created_at": 1700000000.0,
        "progress": None,
        "result": None,
        "error": None,
    }


def _without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def _page(rows: list[dict[str, Any]]) -> Said:
    return Said(200, {"object": "list", "data": rows, "has_more": False, "next_cursor": None})


def _handler(platform: Platform) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(address.query))
            is_form = headers.get("content-type", "").startswith("multipart/form-data")
            given = body if is_form else json.loads(body) if body else None
            self._send(platform.answer(Asked(self.command, address.path, query, headers, given)))

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

        def _send(self, said: Said) -> None:
            streamed = isinstance(said.body, Iterator)
            body = b"" if streamed else json.dumps(said.body).encode()
            self.send_response(said.status)
            length = ("Transfer-Encoding", "chunked") if streamed else ("Content-Length", str(len(body)))
            kind = "text/event-stream" if streamed else "application/json"
            for name, value in (length, ("Content-Type", kind), ("Connection", "close"), *said.headers.items()):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            if streamed:
                self._send_parts(said.body)

        def _send_parts(self, parts: Iterator[bytes]) -> None:
            try:
                for part in parts:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")
            except (Breaks, BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keeps the tests' output clean."""

    return Handler
