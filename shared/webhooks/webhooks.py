"""Webhooks: sending them, and what tenants may know and ask of them."""

import logging
import threading
from collections.abc import Callable, Iterator
from random import random
from typing import Any

from shared import telemetry
from shared.core import webhook_urls, webhooks
from shared.core.errors import BadDocument, NotFound, Unavailable
from shared.core.fair_share import Claim, FairShare
from shared.core.jobs import SEND_WITHIN_S, SHARDS
from shared.core.webhooks import Attempt, Delivery, State
from shared.pages import Listed, listed
from shared.ports.clock import Clock
from shared.ports.courier import Courier, PrivateAddress, Undelivered
from shared.ports.queue import Queue
from shared.ports.secrets import Secrets
from shared.ports.store import Document, Operator, Query, Store
from shared.settings import Settings
from shared.sweeps.report import Report
from shared.sweeps.sweep import Sweeps
from shared.webhooks.records import DELIVERIES, DeliveryRecords, from_document
from shared.webhooks.secrets import WebhookSecrets
from shared.webhooks.wakeups import ROUTE as DELIVERING
from shared.webhooks.wakeups import WebhookWakeUp, WebhookWakeUps

TENANT_DELIVERIES = 8
"""One tenant's under way in an instance: half of what the queue sends to it (`concurrency` of webhooks_deliver), so
that receivers that take the connection and say nothing hold up no other tenant's."""
log = logging.getLogger(__name__)
Where = tuple[tuple[str, Operator, Any], ...]


class Webhooks:
    def __init__(
        self,
        store: Store,
        queue: Queue,
        courier: Courier,
        secrets: Secrets,
        clock: Clock,
        settings: Settings,
        *,
        random: Callable[[], float] = random,
    ) -> None:
        self.secrets = WebhookSecrets(store, secrets)
        self._store = store
        self._records = DeliveryRecords(store)
        self._courier = courier
        self._clock = clock
        self._sweeps = Sweeps(store, clock, settings.quarantine_after)
        self._is_local = settings.is_local
        self._wake_ups = WebhookWakeUps(queue, settings.route_url(DELIVERING))
        self._random = random
        self._turn = threading.Lock()
        self._share = FairShare((TENANT_DELIVERIES,), (TENANT_DELIVERIES,), clock.monotonic)

    def require_usable(self, tenant: str, url: str) -> None:
        """InvalidRequest when a webhook to that address could never be sent."""
        webhook_urls.check(url, local=self._is_local)
        if not self._is_local:
            self._require_public(url)
        self.secrets.require(tenant, self._clock.now())

    def deliver(self, wake_up: WebhookWakeUp) -> None:
        """Makes the attempt that a wake-up calls for. However it ends, the wake-up is done with; Unavailable when it
        could not even be put off."""
        with self._turn:
            place = self._share.try_enter(Claim(wake_up.tenant))
        if place is None:
            self._wake_ups.defer(wake_up, self._clock, self._random)
            return
        try:
            self._deliver(wake_up.id, wake_up.seq)
        finally:
            with self._turn:
                self._share.leave(place)

    def _deliver(self, delivery_id: str, seq: int) -> None:
        try:
            claimed = self._records.claim(delivery_id, seq)
        except BadDocument as error:  # the sweep sets it aside; another wake-up would not help
            log.error("a webhook cannot be read", extra={"fields": {"webhook": delivery_id, "reason": str(error)}})
            return
        if claimed is None:
            return
        attempt = self._attempt(claimed)
        after = self._records.settle(claimed, attempt, self._random())
        _tell(claimed, attempt, after)
        if after and after.state is State.PENDING:
            self._wake_ups.send(after)

    def get(self, tenant: str, delivery_id: str) -> Delivery:
        """The tenant's delivery; NotFound for another's, as for none."""
        found = self._records.get(delivery_id) if len(delivery_id) <= 100 and delivery_id.isascii() else None
        if found is None or found.tenant != tenant or found.expire_at <= self._clock.now():
            raise NotFound(f"There is no webhook delivery '{delivery_id[:100]}'.", code="delivery_not_found")
        return found

    def list(self, tenant: str, job_id: str, state: State | None, limit: int, after: str) -> Listed[Delivery]:
        """Newest first."""
        where: Where = (("tenant", "==", tenant),)
        if job_id:
            where += (("job_id", "==", job_id),)
        elif state:
            where += (("state", "==", state.value),)
        now = self._clock.now()

        def shown(document: Document) -> Delivery | None:
            delivery = from_document(document)
            return delivery if delivery.expire_at > now and state in (None, delivery.state) else None

        return listed(self._store, Query(DELIVERIES, where, descending=True, cursor=after), limit, shown)

    def redeliver(self, tenant: str, delivery_id: str) -> Delivery:
        """The delivery, due now and under the same id; a disabled address is tried as well."""
        self.get(tenant, delivery_id)
        after = self._records.change(delivery_id, webhooks.redeliver)
        if after is None:
            raise NotFound(f"There is no webhook delivery '{delivery_id}'.", code="delivery_not_found")
        self._wake_ups.send(after)
        return after

    def sweep(self) -> Report:
        """Sends the wake-ups that were lost, and those of attempts that ended with their process; for a schedule."""
        return self._sweeps.begin("webhooks_sweep", DELIVERIES).over(self._late(), self._send)

    def _late(self) -> Iterator[Query]:
        late = self._clock.now() - SEND_WITHIN_S
        first = int(self._random() * SHARDS)
        for shard in range(first, first + SHARDS):
            where: Where = (("shard", "==", shard % SHARDS), ("next_attempt_at", "<=", late))
            yield Query(DELIVERIES, where, "next_attempt_at")

    def _send(self, document: Document) -> bool:
        if not self._wake_ups.send(from_document(document)):
            raise Unavailable("The queue takes no tasks.")
        return True

    def _require_public(self, url: str) -> None:
        try:
            self._courier.check(url)
        except PrivateAddress:
            raise webhook_urls.private(url) from None

    def _attempt(self, delivery: Delivery) -> Attempt:
        at, started = self._clock.now(), self._clock.monotonic()
        status, reason = 0, ""
        try:
            if headers := self.secrets.headers(delivery.tenant, delivery.id, delivery.payload, at):
                headers["content-type"] = "application/json"
                status = self._courier.post(delivery.url, headers, delivery.payload.encode())
            else:
                reason = "there is no secret to sign with"
        except (Undelivered, Unavailable) as error:
            reason = str(error)
        return Attempt(at, status, reason, round(self._clock.monotonic() - started, 3))


def _tell(claimed: Delivery, attempt: Attempt, after: Delivery | None) -> None:
    outcome = "lost" if after is None else after.state.value
    telemetry.WEBHOOK_ATTEMPTS.labels("retry" if outcome == State.PENDING else outcome).inc()
    fields = {"webhook": claimed.id, "job": claimed.job_id, "event": claimed.event, "tenant": claimed.tenant}
    fields |= {"status": str(attempt.status), "reason": attempt.reason, "outcome": outcome}
    log.info("webhook attempt ended", extra={"fields": fields})
