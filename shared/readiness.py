"""Whether what a process needs is there."""

from collections.abc import Callable, Mapping

from shared.core.errors import Unavailable
from shared.ports.secrets import Secrets
from shared.signing_keys import NAME

Check = Callable[[], object]
"""Raises Unavailable when the service is not there."""


def readiness(checks: Mapping[str, Check]) -> dict[str, str]:
    """For each service `ok`, or what is wrong with it."""
    return {name: _state(check) for name, check in checks.items()}


def secrets_check(secrets: Secrets) -> Check:
    """Once a secret was read, its source may be down: the last known value is used."""
    return lambda: secrets.get(NAME)


def _state(check: Check) -> str:
    try:
        check()
    except Unavailable as error:
        return error.message
    return "ok"
