"""Secrets from environment variables: the embedded default, and how Cloud Run mounts them."""

from collections.abc import Mapping


class EnvironmentSecrets:
    """A process's environment does not change: a new value takes a restart."""

    is_failing = False

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)

    def get(self, name: str, max_age_s: float | None = None) -> str | None:  # noqa: ARG002 (nothing here grows old)
        return self._environ.get(name) or None

    def is_at_hand(self, name: str) -> bool:  # noqa: ARG002 (all are)
        return True
