"""No caller decides where the platform connects to, or with which key."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.httpx_courier import HttpxCourier
from shared.core.addresses import is_public
from shared.ports.courier import PrivateAddress, Undelivered
from shared.surfaces.request import OPERATORS_CHOICE
from tests import hooks
from tests.fakes import FakeResponse
from tests.gateway.conftest import COMPLETION, World, problem
from tests.worker import application
from tests.worker.application import Application, FakeEngine
from tests.worker.test_engine_calls import ABLE

METADATA = "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"
FIELDS = ("api_base", "base_url", "api_key", "custom_llm_provider", "endpoint", "extra_headers", "upstream", "url")
"""By these callers of other gateways chose the server, and were sent its key (litellm #24952, #31467, #37053)."""
HEADERS = (
    "x-portkey-custom-host",
    "x-portkey-config",
    "x-portkey-provider",
    "api-base",
    "x-base-url",
    "x-forwarded-host",
    "x-original-url",
    "x-rewrite-url",
    "forwarded",
    "x-omni-upstream",
    "x-litellm-api-base",
)
"""And by these (Portkey CVE-2025-66405, #1718)."""
PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),  # noqa: S104
    *("169.254.169.254", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::127.0.0.1"),
    *("64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "2001:0:a9fe:a9fe::", "fd00:ec2::254", "fe80::1", "fe80::1%eth0"),
    *("fc00::1", "ff02::1", "2001:db8::1", "localhost", "0x7f.1", "0177.0.0.1", "2130706433", "127.1", ""),
]
SPELLINGS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0x0.0x0.0x1", "0177.0.0.1", "localhost", "[::1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254", "2852039166", "0xa9fea9fe", "[::]", "0.0.0.0", "0"),  # noqa: S104
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("model", ["small", "elsewhere"])
def test_a_field_of_the_body_moves_no_request(world: World, model: str, field: str) -> None:
    response = world.chat(model=model, **{field: METADATA})
    assert response.status_code == (400 if field in OPERATORS_CHOICE else 200)
    assert all(_stays(request.url, dict(request.headers), model) for request in world.upstream.requests)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("model", ["small", "elsewhere"])
def test_a_header_moves_no_request_and_is_not_passed_on(world: World, model: str, header: str) -> None:
    sent = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    assert world.request("POST", "/v1/chat/completions", json=sent, headers={header: METADATA}).status_code == 200
    for request in world.upstream.requests:
        assert _stays(request.url, dict(request.headers), model)
        assert METADATA not in str(request.headers)


@pytest.mark.parametrize("path", [f"/{METADATA}", "//169.254.169.254/", "/v1/chat/completions@169.254.169.254"])
def test_a_path_moves_no_request(world: World, path: str) -> None:
    assert world.request("POST", path, json={"model": "small"}).status_code == 404
    assert not world.upstream.requests


@pytest.mark.parametrize("model", [METADATA, "worker", "https://evil.example/v1", "../small", "openai/gpt-4o"])
def test_a_models_name_is_no_address(world: World, model: str) -> None:
    assert problem(world.chat(model=model)) == (404, "model_not_found", "model")
    assert not world.upstream.requests


@pytest.mark.parametrize("other", ["model", "mo\\u0064el", "\\u006dodel"])
@pytest.mark.parametrize("asked", ["alone", "small"])
def test_a_second_model_in_the_body_reaches_nobody(world: World, asked: str, other: str) -> None:
    """Some servers read the first of two fields of one name, others the last; only the last was checked and priced."""
    content = f'{{"{other}": "expensive", "model": "{asked}", "messages": [{{"role": "user", "content": "Hi"}}]}}'
    assert world.request("POST", "/v1/chat/completions", content=content.encode()).status_code == 200
    [sent] = [json.loads(request.body, object_pairs_hook=list) for request in world.upstream.requests]
    assert [field for field in sent if field[0] == "model"] == [("model", asked)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_upstream_cannot_send_a_request_on(world: World, status: int) -> None:
    world.answers(
        lambda _: (
            FakeResponse(status, [b""], [("location", METADATA)])
            if len(world.upstream.requests) == 1
            else FakeResponse.json(COMPLETION)
        )
    )
    answer = world.chat()
    assert problem(answer)[:2] == (502, "upstream_failed")
    assert METADATA not in str(answer.headers) + answer.text
    assert len(world.upstream.requests) == 1


@pytest.mark.parametrize("url", [METADATA, "https://evil.example/cat.png", "file:///etc/passwd", "gopher://x"])
def test_the_worker_fetches_no_image(tmp_path: Path, url: str) -> None:
    app = Application(tmp_path, FakeEngine(ABLE))
    app.answers(lambda _: FakeResponse.json({}))
    content: Any = [{"type": "image_url", "image_url": {"url": url}}]
    refused = app.chat(messages=[{"role": "user", "content": content}])
    assert application.problem(refused) == (400, "unsupported_content", "messages.0.content")
    assert url not in json.dumps([request.body.decode() for request in app.upstream.requests])


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_open_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", SPELLINGS)
def test_every_spelling_of_a_private_address_is_refused(host: str) -> None:
    courier = HttpxCourier(allow_private=False)
    with pytest.raises(PrivateAddress):
        courier.check(f"https://{host}/")
    with pytest.raises(Undelivered):
        courier.post(f"https://{host}/", {}, b"{}")


def test_a_name_that_changes_its_address_between_check_and_use_leads_nowhere() -> None:
    """DNS rebinding: a public address for who checks, this machine's for who connects."""
    with hooks.receiving() as hook:
        answers = iter([["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1"]])
        courier = HttpxCourier(allow_private=False, resolve=lambda *_: next(answers))
        url = f"http://rebound.example:{hook.port}/"
        courier.check(url)
        with pytest.raises(Undelivered, match=r"127\.0\.0\.1"):
            courier.post(url, {}, b"{}")
    assert hook.messages == []


def _stays(url: str, headers: dict[str, str], model: str) -> bool:
    host, key = ("worker", None) if model == "small" else ("first.example", "Bearer sk-first")
    return url.split("/")[2] == host and headers.get("authorization") == key
