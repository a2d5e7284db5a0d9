"""What a request turned out to be, for the log line and the metrics it leaves behind."""

import logging
from dataclasses import dataclass, field
from typing import Any

from jobs.ml_worker.completions.usage import Usage
from shared import telemetry
from shared.core.keys import Caller

CALLER_LEFT = 499
"""Counted when the caller left before the answer began (nginx's number)."""

log = logging.getLogger("omni.requests")


@dataclass(slots=True)
class RequestFacts:
    request_id: str
    method: str
    started: float
    """On the monotonic clock, in seconds."""
    route: str = "none"
    caller: Caller | None = None
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    status: int = CALLER_LEFT
    reply_headers: list[tuple[str, str]] = field(default_factory=list)

    def record(self, ended: float, slow_s: float) -> None:
        """One log line and the metrics. Neither keys nor bodies are in it."""
        elapsed_s = ended - self.started
        telemetry.REQUESTS.labels(self.route, self.method, self.status).inc()
        telemetry.LATENCY.labels(self.route).observe(elapsed_s)
        if self.caller and self.model:
            tokens = telemetry.TOKENS.labels
            telemetry.TENANT_REQUESTS.labels(self.caller.tenant, self.model, self.route).inc()
            tokens(self.caller.tenant, self.model, "input").inc(self.usage.prompt_tokens)
            tokens(self.caller.tenant, self.model, "output").inc(self.usage.completion_tokens)
        slow = elapsed_s > slow_s
        fields = self._fields() | {"ms": round(elapsed_s * 1000, 2)}
        log.log(logging.WARNING if slow else logging.INFO, "slow request" if slow else "request", extra={"fields": fields})

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "request_id": self.request_id,
            "method": self.method,
            "route": self.route,
            "status": self.status,
        }
        if self.caller:
            fields |= {"tenant": self.caller.tenant, "key_id": self.caller.key_id}
        if self.model:
            fields["model"] = self.model
            fields |= {"tokens_in": self.usage.prompt_tokens, "tokens_out": self.usage.completion_tokens}
        return fields
