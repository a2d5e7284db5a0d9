"""A schema's references to parts of itself."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from jobs.ml_worker.constraints.refusal import SchemaRefused, Unsupported


def resolved(root: Any, reference: Any) -> Any:
    """The schema that `$ref` points to."""
    if not isinstance(reference, str):
        raise SchemaRefused("'$ref' must be a text")
    if reference != "#" and not reference.startswith("#/"):
        raise Unsupported("'$ref' must point into the same schema, as '#/$defs/name' does")
    found = root
    for step in unquote(reference[1:]).split("/")[1:]:
        found = _inside(found, step.replace("~1", "/").replace("~0", "~"))
    if not isinstance(found, Mapping | bool):
        raise SchemaRefused("'$ref' points to what is no schema")
    return found


def _inside(value: Any, step: str) -> Any:
    if isinstance(value, Mapping) and step in value:
        return value[step]
    if isinstance(value, list) and step.isascii() and step.isdecimal() and len(step) < 6 and int(step) < len(value):
        return value[int(step)]
    raise SchemaRefused("'$ref' points to nothing")


def refuse_rings(aliases: Mapping[str, set[str]]) -> None:
    """SchemaRefused when one of the references stands for itself, without a list or an object around it."""
    done: set[str] = set()
    for start in aliases:
        path: dict[str, None] = {}
        todo: list[tuple[str, bool]] = [(start, False)]
        while todo:
            each, is_left = todo.pop()
            if is_left:
                path.pop(each)
                done.add(each)
            elif each in path:
                raise SchemaRefused("'$ref' leads back to itself")
            elif each not in done:
                path[each] = None
                todo.append((each, True))
                todo += [(target, False) for target in aliases.get(each, ())]
