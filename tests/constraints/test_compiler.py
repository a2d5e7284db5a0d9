"""Schemas are compiled in a process of its own, by turns, and once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jobs.ml_worker.constraints import compiler
from jobs.ml_worker.constraints.compiler import SchemaCompiler
from jobs.ml_worker.constraints.messages import Compilation, Outcome
from jobs.ml_worker.constraints.schema_grammar import compiled
from shared.core.errors import RateLimited

INTEGER = Compilation({"type": "integer"}, strict=True)


@asynccontextmanager
async def running() -> AsyncIterator[SchemaCompiler]:
    compiling = SchemaCompiler()
    try:
        yield compiling
    finally:
        await compiling.stop()


def in_one(work: Callable[[SchemaCompiler], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with running() as compiling:
            return await work(compiling)

    return asyncio.run(run())


def pid(compiling: SchemaCompiler) -> int:
    assert compiling._child
    return compiling._child.process.pid


def test_the_outcome_is_a_grammar_or_what_is_wrong_and_where() -> None:
    async def both(compiling: SchemaCompiler) -> tuple[Outcome, Outcome]:
        wrong = Compilation({"properties": {"a": {"type": "integer", "multipleOf": 7}}}, strict=True)
        return await compiling.outcome(INTEGER, "a"), await compiling.outcome(wrong, "a")

    good, bad = in_one(both)
    assert good.grammar.startswith("root ::= integer")
    assert (bad.code, bad.at) == ("unsupported_schema", ("properties", "a"))
    assert "multipleOf" in bad.error


def test_a_schema_that_was_compiled_needs_no_process_again() -> None:
    async def twice(compiling: SchemaCompiler) -> bool:
        first = await compiling.outcome(INTEGER, "a")
        await compiling.stop()
        return await compiling.outcome(INTEGER, "b") is first and compiling._child is None

    assert in_one(twice)


def test_a_schema_that_ends_the_process_is_refused_from_then_on_and_the_next_gets_another() -> None:
    async def ended(compiling: SchemaCompiler) -> tuple[Outcome, Outcome, Outcome]:
        await compiling.outcome(INTEGER, "a")
        os.kill(pid(compiling), signal.SIGSTOP)
        asking = asyncio.create_task(compiling.outcome(Compilation({"type": "null"}, strict=True), "a"))
        await asyncio.sleep(0)
        os.kill(pid(compiling), signal.SIGKILL)
        first = await asking
        again = await compiling.outcome(Compilation({"type": "null"}, strict=True), "a")
        return first, again, await compiling.outcome(Compilation({"type": "boolean"}, strict=True), "a")

    first, again, other = in_one(ended)
    assert first.code == "schema_too_complex"
    assert again is first
    assert other.grammar


def test_a_schema_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped(compiling: SchemaCompiler) -> Outcome:
        await compiling.outcome(INTEGER, "a")
        monkeypatch.setattr(compiler, "PATIENCE_S", 0.05)
        os.kill(pid(compiling), signal.SIGSTOP)
        return await compiling.outcome(Compilation({"type": "null"}, strict=True), "a")

    assert in_one(stopped).code == "schema_too_complex"


def test_one_tenant_s_schemas_do_not_hold_up_another_s() -> None:
    async def order(compiling: SchemaCompiler) -> list[str]:
        served: list[str] = []

        async def compile_one(tenant: str, number: int) -> None:
            await compiling.outcome(Compilation({"const": [tenant, number]}, strict=True), tenant)
            served.append(tenant)

        async with asyncio.TaskGroup() as group:
            for number, tenant in enumerate(["a"] * compiler.MOST_OF_A_TENANT + ["b", "b"]):
                group.create_task(compile_one(tenant, number))
            await asyncio.sleep(0)
            with pytest.raises(RateLimited):
                await compiling.outcome(INTEGER, "a")
        return served

    served: list[str] = in_one(order)
    assert served[:5] == ["a", "b", "a", "b", "a"]
    assert len(served) == compiler.MOST_OF_A_TENANT + 2


def test_properties_keep_their_order() -> None:
    schema = {"type": "object", "properties": {"z": {"type": "null"}, "a": {"type": "null"}}, "required": ["z", "a"]}

    async def grammar(compiling: SchemaCompiler) -> str:
        return (await compiling.outcome(Compilation(schema, strict=True), "a")).grammar

    text = in_one(grammar)
    found = compiled(schema, strict=True).grammar
    assert text == found
