"""The receiver in docs/25-webhooks.md runs as it stands, and believes what it should."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.webhooks.secrets import signed
from tests.machine import free_port
from tests.waiting import wait_until
from tests.webhooks.post import Post

PAGE = Path(__file__).parent.parent.parent / "docs" / "25-webhooks.md"


class Example:
    def __init__(self, secret: str, port: int) -> None:
        (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        code = code.replace("whsec_...", secret).replace("9000", str(port))
        self.url = f"http://127.0.0.1:{port}/"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def answers(self) -> bool:
        try:
            return httpx.post(self.url, content=b"{}", trust_env=False).status_code == 401
        except httpx.TransportError:
            return False

    def stop(self) -> str:
        self.process.kill()
        return self.process.communicate()[0]


@pytest.fixture
def example(post: Post) -> Iterator[Example]:
    example = Example(post.secret(), free_port())
    try:
        wait_until(example.answers, description="the example listens", within_s=30)
        yield example
    finally:
        example.process.kill()
        example.process.wait()
        if example.process.stdout:
            example.process.stdout.close()


def test_it_takes_what_the_platform_sends(post: Post, example: Example) -> None:
    post.clock.time = time.time()
    job = post.finished(example.url)
    post.work_off()
    assert post.of(job).attempts[0].status == 204
    assert example.stop().split() == [post.of(job).id, "job.succeeded", job.id]


def test_it_refuses_what_somebody_else_signed(example: Example) -> None:
    headers = signed(["whsec_" + "b3RoZXI=" * 4], "msg_1", "{}", time.time())
    assert httpx.post(example.url, content=b"{}", headers=headers, trust_env=False).status_code == 401
    assert example.stop() == ""
