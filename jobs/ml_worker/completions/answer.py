"""One answer while it is generated: whole, or as the stream that the caller sees."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from jobs.ml_worker.completions import calls
from jobs.ml_worker.completions.assembly import assemblies
from jobs.ml_worker.completions.merge import merged
from jobs.ml_worker.completions.plan import Plan
from jobs.ml_worker.completions.shape import Event, Shape
from jobs.ml_worker.completions.usage import Usage, UsageComments
from jobs.ml_worker.engines import events
from jobs.ml_worker.engines.chunked_prefill import ChunkedPrefill
from jobs.ml_worker.engines.client import CHAT, EngineClient, fewest_tokens, most_tokens, prompt_field
from jobs.ml_worker.engines.engine import Running
from jobs.ml_worker.engines.running_calls import NO_END, RunningCalls
from jobs.ml_worker.engines.shared_context import SharedContext
from jobs.ml_worker.watchdog import Watchdog
from shared.core.context_length import too_long
from shared.core.errors import UpstreamFailed
from shared.core.fairness import Owner
from shared.web import sse


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that answers."""

    running: Running
    client: EngineClient
    context: SharedContext
    prefill: ChunkedPrefill
    at_once: int
    """Most calls that one request may have running."""
    watchdog: Watchdog
    calls: RunningCalls


class Answer:
    def __init__(
        self, plan: Plan, model: Loaded, owner: Owner, now: float, token: Callable[[int], str] = secrets.token_hex
    ) -> None:
        self.usage = Usage()
        """Complete when the answer is."""
        self.when_begun: Callable[[], None] = lambda: None
        """Called when it is the turn of one of its calls."""
        self._plan = plan
        self._model = model
        self._owner = owner
        self._token = token
        prefix = "chatcmpl-" if plan.path == CHAT else "cmpl-"
        self._head: Event = {"id": prefix + token(12), "created": int(now)}
        """What all parts of the answer have in common."""
        self._head |= {"service_tier": plan.service_tier} if plan.service_tier else {}

    async def whole(self) -> dict[str, Any]:
        """OpenAI's answer object."""
        choices = assemblies(self._plan)
        async with aclosing(self._parts()) as parts:
            async for part in parts:
                for choice in part["choices"]:
                    choices[choice["index"]].add(choice)
        return {
            **self._head,
            "object": "chat.completion" if self._plan.path == CHAT else "text_completion",
            "model": self._plan.calls[0]["model"],
            "choices": [each.choice(index) for index, each in enumerate(choices)],
            "system_fingerprint": self._head.get("system_fingerprint"),
            "usage": self.usage.body(),
        }

    async def stream(self) -> AsyncGenerator[bytes]:
        """Server-sent events, in blocks of whole ones; an error before the first block is one of the request."""
        async with aclosing(self._relayed() if self._plan.passes_through else self._encoded()) as blocks:
            comments = UsageComments(self.usage) if self._plan.reports_usage else None
            async for block in blocks:
                if sent := comments.added(block) if comments else block:
                    yield sent
        if self._plan.include_usage:
            yield events.encoded({**self._head, "choices": [], "usage": self.usage.body()})
        yield sse.LAST

    async def _relayed(self) -> AsyncGenerator[bytes]:
        """The one call's events as they come; only those that are not plain are looked into."""
        shape = self._shape(0)
        async with self._call(0) as blocks:
            async for whole in blocks:
                block = shape.counted(whole)
                if shape.needs_no_change(block):
                    yield shape.completed(block)
                    continue
                for event in events.decoded(block):
                    for part in shape(event):
                        self._keep_head(part)
                        yield events.encoded(part)

    async def _encoded(self) -> AsyncGenerator[bytes]:
        """The events of all calls; none where something was generated that is held back."""
        async with aclosing(self._parts()) as parts:
            async for part in parts:
                yield events.encoded(part) if part["choices"] else b""

    async def _parts(self) -> AsyncGenerator[Event]:
        """The events of all calls, each with its choice's index, under one id."""
        sources = [self._call_parts(index) for index in range(len(self._plan.calls))]
        async with aclosing(merged(sources, self._model.at_once)) as parts:
            async for part in parts:
                yield part | self._head
                self._keep_head(part | self._head)

    def _call_parts(self, index: int) -> AsyncGenerator[Event]:
        parts = self._shaped(index)
        if self._plan.calling and self._plan.calling.in_text:
            return calls.read(parts, self._plan.calling, self._call_id)
        return parts

    async def _shaped(self, index: int) -> AsyncGenerator[Event]:
        shape = self._shape(index)
        async with self._call(index) as blocks:
            async for block in blocks:
                for event in events.decoded(block):
                    for part in shape(event):
                        yield part

    def _shape(self, index: int) -> Shape:
        are_plain = self._model.running.events_are_plain
        return Shape(self._plan, index, self.usage, self._call_id, events_are_plain=are_plain)

    def _call_id(self) -> str:
        return f"call_{self._token(12)}"

    @asynccontextmanager
    async def _call(self, index: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Runs a call, once the engine has room for it."""
        path = self._plan.path
        self._model.calls.require_harmless(self._plan.calls[index])
        body, prompt, room = await self._fitted(path, self._plan.calls[index])
        async with self._model.context.hold(self._owner, room), self._model.calls.run(self._plan.calls[index]):
            self.when_begun()
            async with self._model.prefill.last_chunk(self._owner, path, body, prompt) as chunk:
                self.usage.note_read(index, chunk.tokens_before)
                async with self._model.client.stream(path, body) as blocks:
                    yield _until_done(chunk.read_with(blocks))

    def _keep_head(self, part: Event) -> None:
        """Remembers what a part that we add at the end has to have in common with the others."""
        self._head = {name: value for name, value in part.items() if name != "choices"}

    async def _fitted(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], int, int]:
        """The call as it fits into the engine's context; of one that all calls share, the tokens that its prompt takes
        and those it can grow to."""
        running, most = self._model.running, self._model.running.context
        may_not_fit = most_tokens(path, body) + self._plan.max_tokens > most
        if not running.shared_context and not (running.counts_tokens_at and may_not_fit):
            return body, 0, 0
        if fewest_tokens(path, body) >= most:  # to count them exactly would take the engine seconds
            raise too_long(most, None, prompt_field(path))
        prompt = await self._model.client.prompt_tokens(path, body)
        if prompt >= most:
            raise too_long(most, prompt, prompt_field(path))
        if running.shared_context:
            return body, prompt, min(prompt + body["max_tokens"], most)
        return body | {"max_tokens": min(body["max_tokens"], most - prompt)}, 0, 0


async def _until_done(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The blocks without the closing `[DONE]`; UpstreamFailed when it does not come."""
    done = False
    async for block in blocks:
        ends = sse.ends(block)
        done = done or ends
        if rest := b"".join(event for event in sse.events(block) if not sse.ends(event)) if ends else block:
            yield rest
    if not done:
        raise UpstreamFailed("The model's server broke off.", detail=NO_END)
