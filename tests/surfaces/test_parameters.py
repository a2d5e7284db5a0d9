"""What is reserved, limited and sent is one thing: a field that could change that is removed or refused."""

import json
from typing import Any

import pytest

from shared.core.errors import InvalidRequest
from shared.surfaces import request
from shared.surfaces.parameters import DEARER, KNOWN, restricted

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
NONE: frozenset[str] = frozenset()


def sent(body: bytes, allowed: frozenset[str] = NONE) -> list[tuple[str, Any]]:
    """The fields that are sent on, twice if they stand there twice."""
    pairs: list[tuple[str, Any]] = json.loads(restricted(body, allowed, has_budget=True).body, object_pairs_hook=list)
    return pairs


@pytest.mark.parametrize(
    "field",
    [
        *("n_predict", "max_new_tokens", "options", "parameters", "extra_body", "num_predict", "max_output_tokens"),
        *(
            "maxTokens",
            "max-tokens",
            "max_tokens ",
            "N_PREDICT",
            "generationConfig",
            "plugins",
            "provider",
            "chat_template",
        ),
    ],
)
def test_a_field_that_may_lengthen_the_answer_is_not_sent_on(field: str) -> None:
    found = restricted(json.dumps(CHAT | {field: 1000}).encode(), NONE, has_budget=False)
    assert json.loads(found.body) == CHAT
    assert found.removed == (field,)
    with pytest.raises(InvalidRequest) as refused:
        sent(json.dumps(CHAT | {field: 1000}).encode())
    assert refused.value.param == field
    assert [name for name, _ in sent(json.dumps(CHAT | {field: None}).encode())] == list(CHAT)


def test_the_operator_may_take_more_fields_for_a_model() -> None:
    body = json.dumps(CHAT | {"enable_thinking": True, "service_tier": "priority"}).encode()
    found = restricted(body, frozenset({"enable_thinking", "service_tier"}), has_budget=True)
    assert json.loads(found.body) == json.loads(body)


def test_known_fields_are_sent_as_they_came() -> None:
    body = json.dumps(CHAT | dict.fromkeys(KNOWN - CHAT.keys() - {"tools"}, 0.1)).encode()
    found = restricted(body, NONE, has_budget=True)
    assert (json.loads(found.body), found.removed) == (json.loads(body), ())


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","max_tokens":1000,"max_tokens":1}',
        b'{"model":"m","max_tokens":1000,"max_t\\u006fkens":1}',
        b'{"model":"m","max_\\u0074okens":1000,"max_tokens":1}',
    ],
)
def test_a_field_that_stands_there_twice_is_sent_once_as_it_was_read(body: bytes) -> None:
    assert request.read(body).max_tokens == 1
    assert sent(body) == [("model", "m"), ("max_tokens", 1)]


def test_fields_of_messages_and_their_parts_are_sent_once_as_they_were_read() -> None:
    part = b'{"type":"image_url","image_url":{"url":"data:,a","url":"data:,b","detail":"high","detail":"low"}}'
    body = b'{"model":"m","messages":[{"role":"user","content":"text","content":["odd",%b]},7]}' % part
    expected = '[{"role":"user","content":["odd",{"type":"image_url","image_url":{"url":"data:,b","detail":"low"}}]},7]'
    assert restricted(body, NONE, has_budget=False).body.decode() == f'{{"model":"m","messages":{expected}}}'


@pytest.mark.parametrize(
    ("field", "dear", "usual"),
    [
        ("service_tier", "priority", "flex"),
        ("service_tier", ["default"], None),
        ("modalities", ["text", "audio"], ["text"]),
        ("audio", {"voice": "ash", "format": "wav"}, None),
        ("web_search_options", {}, None),
    ],
)
def test_what_makes_an_answer_dearer_is_refused_where_there_is_a_budget(field: str, dear: Any, usual: Any) -> None:
    body = json.dumps(CHAT | {field: dear}).encode()
    with pytest.raises(InvalidRequest) as refused:
        restricted(body, NONE, has_budget=True)
    assert (refused.value.param, refused.value.code) == (field, "unsupported_parameter")
    assert dict(json.loads(restricted(body, NONE, has_budget=False).body)) == json.loads(body)
    assert restricted(json.dumps(CHAT | {field: usual}).encode(), NONE, has_budget=True).removed == ()


def test_tools_that_the_server_runs_are_refused_where_there_is_a_budget() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "web_search"}]
    with pytest.raises(InvalidRequest) as refused:
        restricted(json.dumps(CHAT | {"tools": tools}).encode(), NONE, has_budget=True)
    assert refused.value.param == "tools.1.type"
    assert restricted(json.dumps(CHAT | {"tools": tools[:1]}).encode(), NONE, has_budget=True).removed == ()


def test_a_tool_of_two_types_is_sent_on_with_the_one_that_was_read() -> None:
    twice = b'[{"type":"web_search","t\\u0079pe":"function","function":{"name":"f","parameters":{"minimum":1.50}}}]'
    body = json.dumps(CHAT).encode()[:-1] + b',"tools":' + twice + b"}"
    sent = restricted(body, NONE, has_budget=True).body
    assert b'"tools":[{"type":"function","function":{"name":"f","parameters":{"minimum":1.50}}}]' in sent
    with pytest.raises(InvalidRequest):
        restricted(body.replace(b'"function"', b'"mcp"'), NONE, has_budget=True)


def test_no_field_is_both_known_and_dearer() -> None:
    assert not KNOWN & DEARER.keys()
