"""Base images are pinned by what their registries tell, all of them or none."""

from pathlib import Path

import httpx
import pytest

from local import digests
from local.digests import NoDigest, digest

DIGEST = "sha256:" + "a1" * 32


def registry(request: httpx.Request) -> httpx.Response:
    """Speaks the distribution protocol; asks for a token, as Docker Hub does."""
    if request.url.path == "/token":
        assert dict(request.url.params) == {"service": "hub", "scope": "repository:library/python:pull"}
        return httpx.Response(200, json={"token": "t"})
    if request.url.path == "/v2/library/python/manifests/3.13-slim":
        if request.headers.get("authorization") != "Bearer t":
            scope = 'Bearer realm="https://auth.example/token",service="hub",scope="repository:library/python:pull"'
            return httpx.Response(401, headers={"www-authenticate": scope})
        assert "index.v1" in request.headers["accept"]
        return httpx.Response(200, headers={"docker-content-digest": DIGEST})
    if str(request.url) == "https://ghcr.io/v2/astral-sh/uv/manifests/0.9":
        return httpx.Response(200, headers={"docker-content-digest": DIGEST})
    return httpx.Response(404)


@pytest.mark.parametrize("image", ["python:3.13-slim", "ghcr.io/astral-sh/uv:0.9"])
def test_the_registry_tells_the_digest(image: str) -> None:
    assert digest(httpx.Client(transport=httpx.MockTransport(registry)), image) == DIGEST


def test_an_image_that_is_not_there_is_named() -> None:
    with pytest.raises(NoDigest, match=r"ghcr\.io/astral-sh/uv:no"):
        digest(httpx.Client(transport=httpx.MockTransport(registry)), "ghcr.io/astral-sh/uv:no")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for file in digests.FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text((digests.CHECKOUT / file).read_text())
    return tmp_path


def test_every_base_image_gets_its_digest_and_a_second_time_its_new_one(checkout: Path) -> None:
    pinned = digests.write(lambda _: DIGEST, checkout)
    assert {"vllm/vllm-openai:v0.32.0", "redis:7.4-alpine", "python:3.13-slim-trixie"} <= pinned.keys()
    newer = DIGEST.replace("a1", "b2")
    assert digests.write(lambda _: newer, checkout).keys() == pinned.keys()
    text = "".join((checkout / file).read_text() for file in digests.FILES)
    assert all(f"{image}@{newer}" in text for image in pinned)
    assert "a1a1" not in text
    assert "omni:compose\n" in text, "what is built here has none"


def test_without_a_registry_nothing_changes(checkout: Path) -> None:
    def refuse(image: str) -> str:
        raise NoDigest(image)

    before = [(checkout / file).read_text() for file in digests.FILES]
    with pytest.raises(NoDigest):
        digests.write(refuse, checkout)
    assert [(checkout / file).read_text() for file in digests.FILES] == before
