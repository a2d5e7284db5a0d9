"""The tasks that make a webhook's attempts happen."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from shared.core.backoff import Backoff
from shared.core.errors import Unavailable
from shared.core.queues import WEBHOOK
from shared.core.webhooks import Delivery
from shared.ports.clock import Clock
from shared.ports.queue import Queue, Task, task_name

ROUTE, PATH = "webhooks_deliver", "/internal/tasks/webhooks"
DEFERRED = Backoff(1.0, 60.0)
"""When a wake-up comes again whose tenant has its share of deliveries under way."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookWakeUp:
    """What the queue posts."""

    id: str
    seq: int
    tenant: str = ""
    """Known before the delivery is read, to decide whose turn it is."""
    deferred: int = 0
    """How often it has been put off."""


class WebhookWakeUps:
    """Named by delivery and sequence, so that the queue drops repetitions of the same one."""

    def __init__(self, queue: Queue, routes_url: str) -> None:
        self._queue = queue
        self._function_url = routes_url.replace("{name}", ROUTE)

    def send(self, delivery: Delivery) -> bool:
        """Whether the queue has the wake-up of the next attempt now. If not, the sweeper will send it."""
        try:
            self._enqueue(WebhookWakeUp(delivery.id, delivery.seq, delivery.tenant), delivery.next_attempt_at or 0.0)
        except Unavailable as error:
            log.warning("no wake-up sent", extra={"fields": {"webhook": delivery.id, "detail": error.detail}})
            return False
        return True

    def defer(self, wake_up: WebhookWakeUp, clock: Clock, random: Callable[[], float]) -> None:
        """Lets a wake-up come again later; Unavailable when the queue does not take it."""
        deferred = wake_up.deferred + 1
        self._enqueue(replace(wake_up, deferred=deferred), clock.now() + DEFERRED.after(deferred) * (0.5 + random()))

    def _enqueue(self, wake_up: WebhookWakeUp, not_before: float) -> None:
        text = f"{wake_up.id}:{wake_up.seq}" + (f":{wake_up.deferred}" if wake_up.deferred else "")
        url = self._function_url + PATH
        self._queue.enqueue(
            Task(WEBHOOK, task_name(text), url, msgspec.json.encode(wake_up), not_before, self._function_url)
        )
