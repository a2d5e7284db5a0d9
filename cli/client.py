"""The one HTTP client of the command line."""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

import httpx
import msgspec

from cli.answers import ErrorBody
from cli.errors import START, BrokenOff, CliError, NoPlatform, Refused
from cli.events import Event, data_lines, whole_events

LOOPBACK = ("127.0.0.1", "::1", "localhost")
CONNECT_S = 5.0
ANSWER_S = 60.0
INFERENCE_S = 610.0
"""A little more than the longest the gateway waits for a model."""

TRANSFER_S = 600.0
"""Longest silence while a file goes up or down."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_s: float

    def as_type(self, wanted: type[T]) -> T:
        """The body in the shape a command reads; CliError when it is not in that shape."""
        try:
            return msgspec.json.decode(self.body, type=wanted)
        except msgspec.DecodeError as error:
            raise CliError(f"The answer is not what this version of omni can read: {error}") from None


@dataclass(frozen=True, slots=True)
class EventStream:
    headers: Mapping[str, str]
    data: Iterator[bytes]
    """What each event carries, as it arrives."""


class Client:
    """Speaks to one platform with one key. Every failure is a CliError."""

    def __init__(self, base_url: str, api_key: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        url = httpx.URL(base_url)
        self.base_url = base_url
        self.monotonic = monotonic
        self._http = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {api_key}", "user-agent": "omni-cli"},
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            verify=_certificates(url),
            trust_env=url.host not in LOOPBACK,  # a proxy cannot reach this machine's own ports
        )

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Answer:
        return self._send("GET", path, params=query)

    def post(
        self, path: str, body: object, timeout_s: float = ANSWER_S, headers: Mapping[str, str] | None = None
    ) -> Answer:
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_S)
        return self._send("POST", path, timeout=timeout, json=body, headers=headers)

    def patch(self, path: str, body: object) -> Answer:
        return self._send("PATCH", path, json=body)

    def delete(self, path: str) -> Answer:
        return self._send("DELETE", path)

    def upload(self, path: str, fields: Mapping[str, str], name: str, file: tuple[str, bytes | BinaryIO]) -> Answer:
        """Posts a form with a file, given by its name and its content, which is sent as it is read."""
        timeout = httpx.Timeout(TRANSFER_S, connect=CONNECT_S)
        return self._send("POST", path, data=dict(fields), files={name: file}, timeout=timeout)

    @contextmanager
    def download(self, path: str) -> Iterator[tuple[int | None, Iterator[bytes]]]:
        """How large the answer's body is, if that is known, and the body as it arrives."""
        timeout = httpx.Timeout(TRANSFER_S, connect=CONNECT_S)
        with self._failures(), self._http.stream("GET", path, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise _refusal(response)
            length = response.headers.get("content-length", "")
            yield (int(length) if length.isdigit() else None), response.iter_bytes()

    @contextmanager
    def stream(self, path: str, body: object) -> Iterator[EventStream]:
        """Posts `body` and gives the events of the answer; leaving the context ends the exchange."""
        timeout = httpx.Timeout(INFERENCE_S, connect=CONNECT_S)
        with self._failures(), self._http.stream("POST", path, json=body, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise _refusal(response)
            yield EventStream(response.headers, data_lines(response.iter_bytes()))

    @contextmanager
    def events(self, path: str, headers: Mapping[str, str], silence_s: float) -> Iterator[Iterator[Event]]:
        """The events at `path` as they come; CliError when there are none."""
        timeout = httpx.Timeout(silence_s, connect=CONNECT_S)
        with self._failures(), self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise _refusal(response)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise CliError(f"{response.url} gives no events.")
            yield whole_events(response.iter_bytes())

    def with_key(self, api_key: str) -> "Client":
        """The same platform, asked with another key."""
        return Client(self.base_url, api_key, self.monotonic)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, method: str, path: str, **options: Any) -> Answer:
        started = self.monotonic()
        with self._failures():
            response = self._http.request(method, path, **options)
        if response.is_error:
            raise _refusal(response)
        return Answer(response.status_code, response.headers, response.content, self.monotonic() - started)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """httpx's errors as sentences."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise NoPlatform(f"No platform answers at {self.base_url}. {START}.") from None
        except httpx.TimeoutException:
            raise CliError(f"{self.base_url} took too long to answer.") from None
        except httpx.TransportError as error:
            raise BrokenOff(f"The connection to {self.base_url} broke off: {error}.") from None
        except UnicodeError:  # bytes of the command line that are no text
            raise CliError("The request holds what is not valid UTF-8, and cannot be sent.") from None


def _certificates(url: httpx.URL) -> ssl.SSLContext | bool:
    """Plain HTTP needs no certificates, and reading them takes 70 ms; an empty context would trust nobody."""
    return True if url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _refusal(response: httpx.Response) -> CliError:
    try:
        found = msgspec.json.decode(response.content, type=ErrorBody)
    except msgspec.DecodeError:
        return CliError(f"{response.url} answered {response.status_code}, but not as a platform of this kind would.")
    return Refused(
        found.error.message,
        status=response.status_code,
        code=found.error.code or "",
        request_id=found.request_id or response.headers.get("x-request-id", ""),
        headers=response.headers,
    )
