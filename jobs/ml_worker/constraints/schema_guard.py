"""The calls of a plan with their schemas as the engine may have them.

An engine that takes grammars gets one; llama.cpp's own reading of a schema leaves out in silence what it does not
know, and some schemas end it. Another engine gets the schema, without what it cannot be held to.
"""

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from jobs.ml_worker.completions.plan import Plan
from jobs.ml_worker.constraints import references
from jobs.ml_worker.constraints.compiler import SchemaCompiler
from jobs.ml_worker.constraints.messages import Compilation, Outcome
from jobs.ml_worker.constraints.refusal import SchemaRefused
from jobs.ml_worker.engines.engine import Running
from shared.core.errors import InvalidRequest

IN_TOOLS_UNKEPT = frozenset(
    {"pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "allOf", "prefixItems"}
)
"""Keywords that llama.cpp does not keep to, or not always, where it reads the schema of a tool itself."""
SHOWN = 200

Call = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Constraint:
    field: str
    """Of the caller's request."""
    holder: dict[str, Any]
    """The object of the call that has the schema."""
    name: str
    strict: bool


class SchemaGuard:
    def __init__(self, compiler: SchemaCompiler) -> None:
        self._compiler = compiler

    async def held(self, plan: Plan, running: Running, tenant: str) -> Plan:
        """InvalidRequest for a schema that no engine should see, or that an answer cannot be held to."""
        if not plan.calls or not ("response_format" in plan.calls[0] or "tools" in plan.calls[0]):
            return plan
        changed: dict[str, Any] = {}
        for name in ("tools", "response_format"):
            if name in plan.calls[0]:
                changed[name] = await self._safe(plan, name, running, tenant)
        removed = {"response_format"} if isinstance(changed.get("response_format"), str) else frozenset()
        if removed:
            changed["grammar"] = changed.pop("response_format")
        calls = tuple(
            {name: value for name, value in call.items() if name not in removed} | changed for call in plan.calls
        )
        return replace(plan, calls=calls)

    async def _safe(self, plan: Plan, name: str, running: Running, tenant: str) -> Any:
        """The value of the field for the engine: a text is a grammar."""
        value = deepcopy(plan.calls[0][name])
        for constraint in _in_tools(value) if name == "tools" else _in_format(value, plan.field_of_format):
            unkept = IN_TOOLS_UNKEPT if name == "tools" and running.takes_grammars else frozenset()
            schema = constraint.holder[constraint.name]
            asked = Compilation(schema, constraint.strict, unkept)
            outcome = await self._compiler.outcome(asked, tenant)
            if outcome.error:
                raise _refusal(constraint.field, outcome)
            if name == "response_format" and running.takes_grammars:
                return outcome.grammar
            for path in outcome.left_out:
                _drop(schema, path)
        return value


def _in_tools(tools: list[dict[str, Any]]) -> Iterator[Constraint]:
    for number, tool in enumerate(tools):
        function = tool.get("function", {})
        if function.get("parameters") is not None:
            field = f"tools.{number}.function.parameters"
            yield Constraint(field, function, "parameters", bool(function.get("strict")))


def _in_format(response_format: dict[str, Any], field: str) -> Iterator[Constraint]:
    if response_format["type"] == "json_schema":
        wanted = response_format["json_schema"]
        yield Constraint(field, wanted, "schema", bool(wanted.get("strict")))


def _refusal(field: str, outcome: Outcome) -> InvalidRequest:
    place = f" at '{'/'.join(outcome.at)[:SHOWN]}'" if outcome.at else ""
    return InvalidRequest(
        f"The schema in '{field}' is refused{place}: {outcome.error}.", param=field, code=outcome.code
    )


def _drop(schema: Any, path: tuple[str, ...]) -> None:
    """Takes a keyword out of the schema; one of a schema that was put together of several is not there."""
    with suppress(KeyError, IndexError, ValueError, TypeError, SchemaRefused):
        found = schema
        for step in path[:-1]:
            if step.startswith("#"):
                found = references.resolved(schema, step)
            else:
                found = found[int(step)] if isinstance(found, list) else found[step]
        del found[path[-1]]
