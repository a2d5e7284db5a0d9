"""What every process tells of itself, and the one shape of an error."""

from typing import Literal

from shared.web.schemas.strict import Open


class Health(Open):
    status: Literal["ok"]
    service: str
    version: str


class Readiness(Open):
    status: Literal["ok", "degraded", "unavailable"]
    """`degraded` (200): something optional is missing. `unavailable` (503): something without which nothing works."""
    services: dict[str, str]
    """Name of a service → `ok`, or what is wrong with it."""


class Problem(Open):
    message: str
    """A sentence for people."""
    type: str
    """The kind of error, as OpenAI's client libraries know it."""
    param: str | None
    """The field of the request that is wrong, its path joined by dots."""
    code: str | None
    """The error for programs."""


class ErrorBody(Open):
    error: Problem
    request_id: str
    """Also in the header `x-request-id`, and in the platform's logs."""
