"""Webhooks over httpx. The host's name is resolved once, every address it has is checked, and the connection goes to
one of those that were checked: a name that leads elsewhere a moment later leads nowhere.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from urllib.parse import SplitResult, urlsplit

import httpx

from shared import VERSION
from shared.core.addresses import is_public
from shared.ports.courier import PrivateAddress, Undelivered

TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0
"""For each address of a name that has several; less where the whole delivery would have no time left."""
CHECK_TIMEOUT_S = 3.0
RESOLVERS = 8
PORTS = {"https": 443, "http": 80}

Resolve = Callable[[str, int], list[str]]
"""The addresses of a host, best first; OSError when it has none."""


def resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class HttpxCourier:
    def __init__(
        self,
        *,
        allow_private: bool,
        timeout_s: float = TIMEOUT_S,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout_s` bounds the whole of a delivery, the look-up of the name included."""
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._given_tls = tls

    def check(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            self._require_public(self._resolvers.submit(self._look_up, parts).result(CHECK_TIMEOUT_S))
        except (OSError, TimeoutError, UnicodeError):
            return  # it is looked up again before anything is sent

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        return asyncio.run(self._post(urlsplit(url), headers, body))

    async def _post(self, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> int:
        try:
            async with asyncio.timeout(self._timeout_s):
                addresses = await asyncio.get_running_loop().run_in_executor(self._resolvers, self._look_up, parts)
                self._require_public(addresses)
                return await self._send(parts, addresses, headers, body)
        except PrivateAddress as error:
            raise Undelivered(str(error)) from error
        except TimeoutError:
            raise Undelivered(f"no answer within {self._timeout_s:g} s") from None
        except (OSError, UnicodeError):
            raise Undelivered(f"the name {parts.hostname} has no address") from None
        except httpx.HTTPError as error:
            raise Undelivered(f"{type(error).__name__}: {error}"[:200]) from error

    async def _send(self, parts: SplitResult, addresses: list[str], headers: Mapping[str, str], body: bytes) -> int:
        """To the first address that takes the connection. What stands in the answer's body is not read."""
        failure: httpx.HTTPError | None = None
        timeout = httpx.Timeout(None, connect=self._connect_timeout_s(len(addresses)))
        async with httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout) as client:
            for address in addresses:
                try:
                    async with client.stream(
                        "POST",
                        _url(parts, address),
                        headers={**headers, "host": _authority(parts), "user-agent": f"Omni/{VERSION}"},
                        content=body,
                        extensions={"sni_hostname": parts.hostname},
                    ) as response:
                        return response.status_code
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    failure = error
        raise failure or httpx.ConnectError("the name has no address")

    def _connect_timeout_s(self, addresses: int) -> float:
        """Dead addresses leave time for the one that answers, and for its answer."""
        return min(CONNECT_TIMEOUT_S, self._timeout_s / (addresses + 1))

    def _look_up(self, parts: SplitResult) -> list[str]:
        return self._resolve(parts.hostname or "", _port(parts))

    def _require_public(self, addresses: list[str]) -> None:
        for address in addresses:
            if not (self._allow_private or is_public(address)):
                raise PrivateAddress(f"{address} is not an address of the public internet")

    @cached_property
    def _resolvers(self) -> ThreadPoolExecutor:
        """Of its own: a name server that hangs holds up webhooks and nothing else."""
        return ThreadPoolExecutor(RESOLVERS, "resolve")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or httpx.create_ssl_context()


def _port(parts: SplitResult) -> int:
    return parts.port or PORTS[parts.scheme]


def _url(parts: SplitResult, address: str) -> httpx.URL:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return httpx.URL(scheme=parts.scheme, host=address, port=_port(parts), raw_path=path.encode("ascii"))


def _authority(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, PORTS[parts.scheme]) else f"{host}:{parts.port}"
