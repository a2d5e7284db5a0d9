"""Webhooks from the command line: secrets, deliveries, and a receiver that believes nobody unsigned."""

import threading
import time

import httpx
import pytest
from click.testing import Result

from cli.receiver import receiving
from shared.webhooks.secrets import signed
from tests.cli.conftest import Omni
from tests.cli.platform import Platform
from tests.machine import free_port
from tests.waiting import wait_until

SECRET = "whsec_" + "c2VjcmV0" * 5


def test_a_secret_is_printed_alone_once_and_never_listed(omni: Omni) -> None:
    made = omni("webhooks", "secret", "create")
    assert (made.exit_code, made.stdout) == (0, SECRET + "\n")
    assert "whs_0" in made.stderr
    listed = omni("webhooks", "secret", "list")
    assert "whs_0" in listed.stdout
    assert SECRET not in listed.stdout
    assert omni("webhooks", "secret", "delete", "whs_0").exit_code == 0
    assert omni("webhooks", "secret", "delete", "whs_0").exit_code == 1


def test_rotating_says_how_long_the_others_sign_on(omni: Omni, platform: Platform) -> None:
    omni("webhooks", "secret", "rotate", "--overlap", "48")
    assert platform.asked[-1].body == {"expire_others_after_s": 172800}


def test_listening_makes_a_secret_for_the_while_and_prints_what_is_genuine(omni: Omni, platform: Platform) -> None:
    port = free_port()
    done: list[Result] = []
    listening = threading.Thread(
        target=lambda: done.append(omni("webhooks", "listen", "--port", f"{port}", "--count", "2"))
    )
    listening.start()
    url = f"http://127.0.0.1:{port}/"
    wait_until(lambda: answers(url), description="it listens")
    platform.hooks.tell(url, {"id": "job_1"})
    listening.join(20)
    (result,) = done
    assert result.exit_code == 0
    assert "✗ signature is wrong" in result.stderr
    assert "✓ signature is good: msg_job_1" in result.stderr
    assert "job.succeeded" in result.stdout
    assert platform.hooks.secrets == {}


def answers(url: str) -> bool:
    try:
        return httpx.post(url, content=b"unsigned", trust_env=False).status_code == 401
    except httpx.TransportError:
        return False


def test_deliveries_are_listed_and_sent_again(omni: Omni, platform: Platform) -> None:
    with receiving((SECRET,)) as receiver:
        platform.hooks.signs_with = SECRET
        platform.hooks.tell(receiver.url, {"id": "job_1"})
        wait_until(lambda: platform.hooks.deliveries, description="it is delivered")
    listed = omni("webhooks", "deliveries", "--outcome", "delivered")
    assert "msg_job_1" in listed.stdout
    assert "204" in listed.stdout
    assert platform.asked[-1].query == {"limit": "20", "outcome": "delivered"}
    assert omni("webhooks", "redeliver", "msg_job_1").stdout == "msg_job_1 is sent again.\n"


@pytest.mark.parametrize("signature", ["", "v1", "v1,", "v1,!!!", "x y z", "v2,abcd", "v1," + "A" * 44])
def test_what_is_not_signed_by_a_secret_is_not_believed(signature: str) -> None:
    headers = signed([SECRET], "msg_1", "{}", time.time()) | {"webhook-signature": signature}
    with receiving((SECRET,)) as receiver:
        assert httpx.post(receiver.url, content=b"{}", headers=headers, trust_env=False).status_code == 401


def test_an_old_message_is_not_believed() -> None:
    headers = signed([SECRET], "msg_1", "{}", time.time() - 600)
    with receiving((SECRET,)) as receiver:
        assert httpx.post(receiver.url, content=b"{}", headers=headers, trust_env=False).status_code == 401


def test_a_taken_port_is_a_clear_error(omni: Omni, platform: Platform) -> None:
    with receiving(()) as receiver:
        port = receiver.url.rstrip("/").rpartition(":")[2]
        result = omni("webhooks", "listen", "--port", port)
    assert result.exit_code == 1
    assert f"Port {port} cannot be listened on" in result.stderr
    assert platform.hooks.secrets == {}
