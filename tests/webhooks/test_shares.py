"""Receivers that say nothing hold up their own tenant's webhooks, and no other tenant's."""

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from shared.core.errors import Unavailable
from shared.core.webhooks import State
from shared.webhooks.wakeups import WebhookWakeUp
from shared.webhooks.webhooks import TENANT_DELIVERIES
from tests.waiting import wait_until
from tests.webhooks.post import Post

AT_ONCE = 16


class Tarpit:
    """A courier whose posts to `tarpit` hang until they are let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.posted: list[str] = []
        self.hanging = 0
        self._lock = threading.Lock()

    def check(self, url: str) -> None: ...

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        if "tarpit" in url:
            with self._lock:
                self.hanging += 1
            assert self.let_go.wait(60)
        with self._lock:
            self.posted.append(url)
        return 200


def work_off(post: Post, threads: ThreadPoolExecutor) -> int:
    """Begins what is due, as the queue would: the longest due first, so many at once as there are threads."""
    due = post.queue.due("webhook", 1000)
    for each in due:
        post.queue.done(each)
        threads.submit(deliver, post, WebhookWakeUp(**json.loads(each.task.body)))
    return len(due)


def deliver(post: Post, wake_up: WebhookWakeUp) -> None:
    """As the queue would: again, when the store is busy."""
    for _ in range(20):
        with suppress(Unavailable):
            post.webhooks.deliver(wake_up)
            return
    raise AssertionError("the store is not there")


def test_a_tenants_webhook_is_sent_while_anothers_receivers_hang(tmp_path: Path) -> None:
    courier = Tarpit()
    post = Post(tmp_path, courier=courier)
    post.secret(tenant="slow")
    post.secret(tenant="quick")
    slow = [post.finished("http://tarpit.example/", "slow") for _ in range(40)]
    quick = [post.finished("http://quick.example/", "quick") for _ in range(3)]

    def sent(count: int) -> bool:
        """What was put off while its turn was another's comes again a few seconds later."""
        if len(courier.posted) < count:
            post.clock.advance(5)
            work_off(post, threads)
        return len(courier.posted) == count

    with ThreadPoolExecutor(AT_ONCE) as threads:
        try:
            assert work_off(post, threads) == 43
            wait_until(lambda: sent(3), description="the other tenant's webhooks")
            wait_until(lambda: courier.hanging == TENANT_DELIVERIES, description="the slow tenant's whole share")
        finally:
            courier.let_go.set()

    for _ in range(20):
        post.clock.advance(60)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            work_off(post, threads)
    ends = [post.webhooks.list(job.tenant, job.id, None, 10, "").items for job in slow + quick]
    assert {delivery.state for (delivery,) in ends} == {State.DELIVERED}
    assert len(courier.posted) == 43, "each once"


def test_a_deferred_wake_up_uses_up_no_attempt(tmp_path: Path) -> None:
    courier = Tarpit()
    post = Post(tmp_path, courier=courier)
    post.secret()
    jobs = [post.finished("http://tarpit.example/") for _ in range(TENANT_DELIVERIES + 1)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        work_off(post, threads)
        wait_until(lambda: courier.hanging == TENANT_DELIVERIES, description="a full share")
        waiting = [post.of(job) for job in jobs if post.of(job).seq == 1]
        assert [(len(each.attempts), each.state) for each in waiting] == [(0, State.PENDING)]
        courier.let_go.set()
