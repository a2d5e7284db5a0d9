"""Secrets from environment variables: the embedded default, and how Cloud Run mounts them."""

from collections.abc import Mapping


class EnvironmentSecrets:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> str | None:
        return self._environ.get(name) or None
