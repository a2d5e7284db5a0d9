"""The connection to Redis that the adapters share. It gives up soon: a request can do without Redis."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.retry import Retry

from shared.core.errors import Unavailable

TIMEOUT_S = 0.1
"""For a connection to be made, and again for an answer."""


class PasswordOfTheMoment(CredentialProvider):
    """Asked for each new connection, so that a password may be replaced without a restart."""

    def __init__(self, password: Callable[[], str | None]) -> None:
        self._password = password

    def get_credentials(self) -> tuple[str]:
        password = self._password()
        return (password,) if password else ()  # type: ignore[return-value]  # the client takes it for: none


def connect(url: str, password: Callable[[], str | None], timeout_s: float = TIMEOUT_S) -> redis.Redis:
    """A pooled client for threads, also on both sides of a fork; it opens connections when they are needed."""
    return redis.Redis.from_url(
        url,
        credential_provider=PasswordOfTheMoment(password),
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


@contextmanager
def availability(what: str) -> Iterator[None]:
    """Turns Redis' failures (no connection, no answer in time, a refusal) into Unavailable."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise Unavailable(f"The {what} is not available.", detail=str(error), retry_after_s=1.0) from error
