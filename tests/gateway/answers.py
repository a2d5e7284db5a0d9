"""What a model says, as whole answers and as streams."""

import json
from typing import Any

from prometheus_client import REGISTRY

from shared.ports.upstream import OutgoingRequest
from tests.fakes import FakeResponse

WHOLE: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1_800_000_000,
    "model": "small",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello.", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
}
DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **fields: Any) -> bytes:
    """One event of a stream; without a delta one that has no choices."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    common = {name: WHOLE[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    return sse(common | {"choices": [] if delta is None else [choice]} | fields)


def sse(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


STREAM = [
    event({"role": "assistant", "content": ""}),
    event({"content": "Hel"}),
    event({"content": "lo."}),
    event({}, "stop"),
]
ASKED_STREAM = [part.removesuffix(b"}\n\n") + b',"usage":null}\n\n' for part in STREAM]
"""As a caller gets it who has asked for the usage."""
USAGE = event(usage=WHOLE["usage"])


def answer(request: OutgoingRequest) -> FakeResponse:
    """The model's, in the form that was asked for."""
    asked = json.loads(request.body)
    if not asked.get("stream"):
        return FakeResponse.json(WHOLE)
    usage = [USAGE] if (asked.get("stream_options") or {}).get("include_usage") else []
    return FakeResponse.stream(*STREAM, *usage, DONE)


def events(body: bytes) -> list[Any]:
    """What a stream tells, without its end."""
    payloads = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")]
    assert payloads.pop() == b"[DONE]"
    return [json.loads(payload) for payload in payloads]


def said(body: bytes) -> str:
    """The text of a stream."""
    return "".join(choice["delta"].get("content") or "" for each in events(body) for choice in each["choices"])


def tokens_out() -> float:
    """How many tokens of answers were counted for the tenant that the tests are."""
    labels = {"tenant": "acme", "model": "small", "direction": "output"}
    return REGISTRY.get_sample_value("omni_tokens_total", labels) or 0
