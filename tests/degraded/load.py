"""Requests of every kind, sent one after the other for as long as the test wants."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

from tests.gateway.conftest import CHAT
from tests.managed_keys import KeyOffice

PATIENCE_S = 30.0
"""Longer than any request may take: one that takes as long hangs."""
PAUSE_S = 0.1
NEW_KEYS = 100


@dataclass(frozen=True)
class Answer:
    status: int
    code: str
    """Of the error; empty when there is none."""
    headers: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.status} `{self.code}`" if self.code else str(self.status)


HANGS = Answer(0, "no answer", {})
Send = Callable[[httpx.Client], httpx.Response]


class Kind:
    """One kind of request, and what it was answered with, the latest last."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.answers: list[Answer] = []

    def run(self, base_url: str, stop: threading.Event) -> None:
        with httpx.Client(base_url=base_url, timeout=PATIENCE_S) as client:
            while not stop.is_set():
                try:
                    response = self._send(client)
                except httpx.TransportError:
                    self.answers.append(HANGS)
                else:
                    self.answers.append(_answer(response))
                stop.wait(PAUSE_S)


class Load:
    """Every kind by the heading of its column in docs/60-degraded-modes.md."""

    def __init__(self, base_url: str, keys: "Keys") -> None:
        unseen, numbers = itertools.cycle(keys.unseen), itertools.count()
        self.kinds = {
            "inference, static key": Kind(lambda client: _chat(client, "prod-key-acme-1")),
            "inference, managed key in use": Kind(lambda client: _chat(client, keys.in_use)),
            "inference, managed key not seen yet": Kind(lambda client: _chat(client, next(unseen))),
            "inference, strict key": Kind(lambda client: _chat(client, keys.strict)),
            "with `Idempotency-Key`": Kind(
                lambda client: _chat(client, "prod-key-acme-1", {"idempotency-key": f"order-{next(numbers)}"})
            ),
            "`GET /api/v1/jobs`": Kind(
                lambda client: client.get("/api/v1/jobs", headers={"x-api-key": "prod-key-acme-1"})
            ),
            "`/ready`": Kind(lambda client: client.get("/ready")),
        }
        self._base_url = base_url
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._threads = [
            threading.Thread(target=kind.run, args=(self._base_url, self._stop)) for kind in self.kinds.values()
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def latest(self) -> dict[str, str]:
        """Each kind's last answer."""
        return {name: str(kind.answers[-1] if kind.answers else HANGS) for name, kind in self.kinds.items()}

    def marks(self) -> dict[str, int]:
        """How many answers each kind has had."""
        return {name: len(kind.answers) for name, kind in self.kinds.items()}

    def since(self, marks: Mapping[str, int]) -> dict[str, list[Answer]]:
        return {name: kind.answers[marks[name] :] for name, kind in self.kinds.items()}


class Keys:
    def __init__(self, office: KeyOffice) -> None:
        self.in_use = office.new()[1]
        self.strict = office.new(strict=True)[1]
        self.unseen = [office.new()[1] for _ in range(NEW_KEYS)]


def _chat(client: httpx.Client, key: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    asked = CHAT | {"temperature": 0, "seed": time.monotonic_ns()}
    return client.post("/v1/chat/completions", json=asked, headers={"x-api-key": key, **(headers or {})})


def _answer(response: httpx.Response) -> Answer:
    content = response.json()
    if response.request.url.path == "/ready":
        return Answer(response.status_code, content["status"], response.headers)
    return Answer(response.status_code, content.get("error", {}).get("code", ""), response.headers)
