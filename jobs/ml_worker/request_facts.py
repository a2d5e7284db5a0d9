"""What a request turned out to be, for the log line and the metrics it leaves behind."""

import logging
from dataclasses import dataclass, field
from typing import Any

from jobs.ml_worker.completions.usage import Usage
from shared import telemetry
from shared.core.keys import Caller
from shared.telemetry import RequestLog
from shared.web.asgi import CLIENT_CLOSED_REQUEST


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
    status: int = CLIENT_CLOSED_REQUEST
    reply_headers: list[tuple[str, str]] = field(default_factory=list)

    def measure(self, ended: float) -> None:
        telemetry.REQUESTS.labels(self.route, self.method, str(self.status)).inc()
        telemetry.LATENCY.labels(self.route, self.model).observe(ended - self.started)

    def track_usage(self) -> None:
        if self.caller and self.model:
            tenant = self.caller.tenant
            telemetry.TENANT_REQUESTS.labels(tenant, self.model, self.route).inc()
            telemetry.count_tokens(tenant, self.model, self.usage.prompt_tokens, self.usage.completion_tokens)

    def write(self, log: RequestLog, ended: float, slow_s: float) -> None:
        """One line; neither keys nor bodies are in it."""
        elapsed_s = ended - self.started
        fields = self._fields() | {"ms": round(elapsed_s * 1000, 2)}
        if elapsed_s > slow_s:
            log.write(logging.WARNING, "slow request", fields)
        else:
            log.write(logging.INFO, "request", fields)

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
