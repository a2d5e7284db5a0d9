"""The tasks that make a webhook's attempts happen."""

import hashlib
import logging

import msgspec

from shared.core.errors import Unavailable
from shared.core.queues import WEBHOOK
from shared.core.webhooks import Delivery
from shared.ports.queue import Queue, Task

ROUTE, PATH = "webhooks_deliver", "/internal/tasks/webhooks"

log = logging.getLogger(__name__)


class WebhookWakeUps:
    """Named by delivery and sequence, so that the queue drops repetitions of the same one."""

    def __init__(self, queue: Queue, routes_url: str) -> None:
        self._queue = queue
        self._function_url = routes_url.replace("{name}", ROUTE)

    def send(self, delivery: Delivery) -> bool:
        """Whether the queue has the wake-up of the next attempt now. If not, the sweeper will send it."""
        name = hashlib.sha256(f"{delivery.id}:{delivery.seq}".encode()).hexdigest()[:40]
        body = msgspec.json.encode({"id": delivery.id, "seq": delivery.seq})
        url = self._function_url + PATH
        try:
            self._queue.enqueue(Task(WEBHOOK, name, url, body, delivery.next_attempt_at or 0.0, self._function_url))
        except Unavailable as error:
            log.warning("no wake-up sent", extra={"fields": {"webhook": delivery.id, "detail": error.detail}})
            return False
        return True
