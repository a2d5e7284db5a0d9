"""An engine that is a server of its own (vLLM, SGLang, Ollama, llama-server): started as a child, or by its address."""

import asyncio
import shlex
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_urlsafe

import msgspec

from jobs.ml_worker.engines import leash
from jobs.ml_worker.engines.child import Child
from jobs.ml_worker.engines.dialects import DIALECTS
from jobs.ml_worker.engines.engine import EngineFailed, EngineMissing, Running
from jobs.ml_worker.engines.shared_context import with_reserve
from shared.ports.upstream import OutgoingRequest, Upstream, UpstreamError
from shared.settings import Settings, child_environment

HOST = "127.0.0.1"
"""A child listens to nobody else: vLLM's /metrics and /load need no key."""
POLL_S = 0.25
WATCH_S = 2.0
ANSWER_S = 5.0
MISSED = 3
"""So many health checks in a row, and a server by address is taken for gone."""


class ModelMeta(msgspec.Struct):
    n_ctx: int = 0
    """llama-server tells here what a request can hold."""


class ModelCard(msgspec.Struct):
    id: str = ""
    max_model_len: int | None = None
    """vLLM and SGLang tell it here."""
    meta: ModelMeta | None = None

    @property
    def context(self) -> int:
        """0 when the server does not tell."""
        return self.max_model_len or (self.meta.n_ctx if self.meta else 0)


class Models(msgspec.Struct):
    data: list[ModelCard] = []


class OpenAIHttp:
    def __init__(self, settings: Settings, upstream: Upstream, api_key: str = "") -> None:
        """`api_key` is for a server by address that wants one."""
        self._settings = settings
        self._dialect = DIALECTS[settings.worker_engine]
        self._upstream = upstream
        self._headers = [("authorization", f"Bearer {api_key}")] if api_key else []
        self._url = settings.worker_engine_url.rstrip("/").removesuffix("/v1")
        self._child: Child | None = None

    async def start(self) -> Running:
        if not self._settings.worker_engine_url:
            port = _free_port()
            self._url = f"http://{HOST}:{port}"
            key = token_urlsafe(32)
            self._headers = [("authorization", f"Bearer {key}")]
            self._child = await self._spawn(port, key)
        await self._healthy()
        if self._child:
            self._child.serves()
        context = await self._context()
        shared = self._settings.worker_context if self._child and self._dialect.shares_context else 0
        return Running(
            self._url,
            min(context, shared) if shared else context,
            shared_context=shared,
            calls_tools=bool(self._settings.worker_tool_parser),
            media=frozenset(filter(None, self._settings.worker_media.split(","))),
            parameters=self._dialect.parameters,
            counting=self._dialect.counting,
            takes_grammars=self._dialect.takes_grammars,
            loop_page=self._dialect.loop_page,
            counts_tokens_at=self._dialect.counts_tokens_at,
            scores_prompts=self._dialect.scores_prompts,
            events_are_plain=False,
            model=self._settings.worker_engine_model,
            headers=tuple(self._headers),
        )

    async def ended(self) -> str:
        if self._child:
            return await self._child.ended()
        missed = 0
        while missed < MISSED:
            await asyncio.sleep(WATCH_S)
            missed = 0 if await self._answers() else missed + 1
        return f"{self._url} does not answer any more."

    async def stop(self) -> None:
        if self._child:
            await self._child.stop()

    async def _spawn(self, port: int, key: str) -> Child:
        settings, context = self._settings, self._settings.worker_context
        places = {
            "weights": settings.worker_model_path or settings.worker_model,
            "model": settings.worker_engine_model or settings.worker_model,
            "host": HOST,
            "port": str(port),
            "context": str(with_reserve(context) if self._dialect.shares_context else context),
            "slots": str(with_reserve(settings.worker_slots)),
            "key": key,
            "parser": settings.worker_tool_parser,
        }
        given = shlex.split(settings.worker_engine_command)
        tools = self._dialect.tool_options if settings.worker_tool_parser else ()
        command = [*_filled((*self._dialect.command, *tools), places), *shlex.split(settings.worker_engine_args)]
        command = [*given, *command[1:]] if given else command
        if not shutil.which(command[0]):
            raise EngineMissing(f"The engine's program '{command[0]}' is not there; see OMNI_WORKER_ENGINE_COMMAND.")
        variables = {name: value.format_map(places) for name, value in self._dialect.variables.items()}
        on_leash = [sys.executable, str(Path(leash.__file__)), *command]
        return await Child.start(settings.worker_engine, on_leash, {**child_environment(), **variables}, reports=False)

    async def _healthy(self) -> None:
        """Returns once the server answers; EngineFailed when it has ended or takes too long."""
        ending = asyncio.ensure_future(self._child.ended()) if self._child else None
        try:
            async with asyncio.timeout(self._settings.worker_start_s):
                while not await self._answers():
                    if ending and ending.done():
                        raise EngineFailed(f"The model could not be loaded. {ending.result()}")
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            await self.stop()
            raise EngineFailed(f"{self._url} did not answer within {self._settings.worker_start_s:g} s.") from None
        finally:
            if ending:
                ending.cancel()

    async def _answers(self) -> bool:
        return await self._get(self._dialect.health) is not None

    async def _context(self) -> int:
        """As the server tells it for its model, else as the settings have it."""
        try:
            cards = msgspec.json.decode(await self._get("/v1/models") or b"{}", type=Models).data
        except msgspec.DecodeError as error:
            raise EngineFailed(f"{self._url}/v1/models is not a list of models: {error}") from None
        wanted = self._settings.worker_engine_model or self._settings.worker_model
        told = [card.context for card in cards if card.id == wanted and card.context]
        return told[0] if told else self._settings.worker_context

    async def _get(self, path: str) -> bytes | None:
        """The answer's body; None when there is no answer, or one of another status than 200."""
        request = OutgoingRequest("GET", self._url + path, self._headers, b"", ANSWER_S)
        try:
            async with self._upstream.send(request) as response:
                content = await response.read()
                return content if response.status == 200 else None
        except UpstreamError:
            return None


def _filled(texts: Sequence[str], places: Mapping[str, str]) -> list[str]:
    return [text.format_map(places) if "{" in text else text for text in texts]


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
