"""Whatever the bytes: each parser gives a value or its one kind of error, and takes no long time over it."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway import body, completion
from functions.gateway.cache_control import CacheControl
from functions.gateway.upstream_errors import from_answer, wait_s
from shared.catalogue import Catalogue, CatalogueError
from shared.core.addresses import client_address, is_public
from shared.core.errors import InvalidRequest, OmniError, Unauthenticated
from shared.keys.authentication import presented_key
from shared.keys.caller_token import WORKER, Call
from shared.limits.policy import tier_limits
from shared.manifest import Router, load
from shared.settings import Settings, SettingsError
from shared.web.incoming import page_size, request_id
from shared.web.validation import decode
from tests.caller_keys import caller_in, signed
from tests.fakes import FakeClock
from tests.routes.conftest import ACME

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
BYTES = st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode())
HEADER = st.text(st.characters(max_codepoint=255), max_size=200)
ROUTER = Router(load())
EVENTS = st.lists(
    st.sampled_from([b"data: [DONE]", b"data: {", b'data: {"choices":[]}', b"data:", b": c", b"event: x", b"", b"\xff"])
    | BYTES
).map(b"\n\n".join)


@given(BYTES, st.integers(1, 64))
def test_a_body_is_peeked_into_or_refused(content: bytes, depth: int) -> None:
    with suppress(InvalidRequest):
        assert isinstance(body.inference(content, depth).model, str)


@given(BYTES)
def test_the_canonical_form_is_its_own(content: bytes) -> None:
    once = body.canonical(content)
    assert body.canonical(once) == once


@given(BYTES, st.integers(1, 64))
def test_json_is_decoded_or_refused(content: bytes, depth: int) -> None:
    with suppress(InvalidRequest):
        decode(content, depth)


@given(EVENTS)
def test_a_stream_is_read_or_is_none(content: bytes) -> None:
    completion.stream_ended_well(content)
    with suppress(*completion.NO_ANSWER):
        found = completion.from_stream(content)
        assert found is None or isinstance(found, dict)


@given(st.integers(100, 599), BYTES, HEADER, st.booleans())
def test_an_upstreams_refusal_becomes_one_of_ours(status: int, content: bytes, retry_after: str, ours: bool) -> None:  # noqa: FBT001
    error = from_answer(status, content, wait_s(retry_after.encode()), trusted=ours)
    assert isinstance(error, OmniError)
    assert 400 <= error.status < 600
    assert error.message


CALL = Call(WORKER, "POST", "/v1/chat/completions")


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_a_signature_that_was_not_made_is_nobodys(value: str) -> None:
    assert caller_in(value, CALL, FakeClock()) is None


@given(st.data())
def test_a_signature_with_a_byte_changed_is_nobodys(data: st.DataObject) -> None:
    clock = FakeClock()
    token = signed(ACME, CALL, clock.now())
    assert caller_in(token, CALL, clock) == ACME
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(max_codepoint=255).filter(lambda each: each != token[at]))
    assert caller_in(token[:at] + other + token[at + 1 :], CALL, clock) is None


@given(HEADER, HEADER)
def test_a_key_is_found_or_missing(authorization: str, x_api_key: str) -> None:
    with suppress(Unauthenticated):
        assert presented_key(authorization, x_api_key)


@given(st.text(max_size=100), HEADER, st.integers(0, 5))
def test_an_address_is_one_or_none(peer: str, forwarded: str, proxies: int) -> None:
    found = client_address(peer, forwarded, proxies)
    assert found is None or found.version in (4, 6)
    assert is_public(peer) in (True, False)


@given(HEADER)
def test_a_request_id_fits_everywhere(given_: str) -> None:
    made = request_id(given_)
    assert made.isascii()
    assert 1 <= len(made) <= 128
    assert made.replace("_", "").replace(".", "").replace("-", "").isalnum() or made == given_


@given(HEADER)
def test_cache_control_is_read_whatever_it_says(value: str) -> None:
    CacheControl.parse(value)


@given(st.dictionaries(st.just("limit"), st.text(max_size=30)))
def test_a_page_size_is_one_or_refused(query: dict[str, str]) -> None:
    with suppress(InvalidRequest):
        assert 1 <= page_size(query) <= 100


@given(st.sampled_from(["GET", "POST", "PATCH", "X"]), st.text(max_size=100))
def test_a_path_is_found_or_not(method: str, path: str) -> None:
    with suppress(OmniError):
        route, params = ROUTER.find(method, "/" + path)
        assert method in route.methods
        assert all("/" not in value or "{model:path}" in route.path for value in params.values())


@pytest.mark.parametrize("path", ["/api/v1/keys/a\nb", "/api/v1/keys/\x00", "/v1/models/a\r\nb", "/api/v1/jobs/\x7f"])
def test_an_id_with_a_control_character_is_no_id(path: str) -> None:
    with pytest.raises(OmniError, match="nothing at"):
        ROUTER.find("GET", path)


@given(st.text(max_size=200) | st.from_regex(r"(free|basic)\.requests_per_minute=[0-9]{1,9}", fullmatch=True))
def test_limits_of_tiers_are_read_or_refused(text: str) -> None:
    with suppress(SettingsError):
        assert tier_limits(text)


@given(
    st.dictionaries(st.sampled_from(["PORT", "OMNI_LEASE_S", "OMNI_SECRETS", "RUN_AS_INTERNAL"]), st.text(max_size=30))
)
def test_settings_are_read_or_refused_by_name(environ: dict[str, str]) -> None:
    with suppress(SettingsError):
        assert Settings.load(environ).job_timeout_s > 0


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_a_catalogue_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "models.toml"
    path.write_bytes(content)
    with suppress(CatalogueError):
        assert Catalogue.load(path).models is not None


def test_a_body_that_is_hard_to_read_is_read_in_linear_time() -> None:
    for content in (b'"' * 1_000_000, b"[" * 1_000_000, b'{"model":"' + b"\\" * 1_000_000, b"\\u0000" * 150_000):
        with pytest.raises(InvalidRequest):
            body.inference(content, 64)


def test_a_number_too_large_for_any_number_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        body.inference(b'{"model": "small", "max_tokens": %b}' % (b"9" * 5000), 64)
    assert msgspec.json.decode(b"1e5") == 1e5
