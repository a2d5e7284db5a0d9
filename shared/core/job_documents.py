"""A job as the store keeps it: one JSON object, checked when it is read."""

from dataclasses import asdict, fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from shared.core.errors import BadDocument
from shared.core.jobs import Job, JobError, Progress, State, Substate

SCHEMA_VERSION = 1


def to_document(job: Job) -> dict[str, Any]:
    document = {name: getattr(job, name) for name in _CLASSES}
    document["error"] = asdict(job.error) if job.error else None
    document["progress"] = asdict(job.progress) if job.progress else None
    document["lane"] = job.lane
    if not job.parent:
        del document["parent"]  # so that it is not in the steps' indexes
    document["schema_version"] = SCHEMA_VERSION
    return document


def from_document(document: dict[str, Any]) -> Job:
    """The job in a document; BadDocument when a field is missing, of a wrong type or of a newer schema."""
    try:
        return _checked(Job(**_values(document)))
    except (KeyError, TypeError, ValueError) as error:
        raise BadDocument(f"job {document.get('id')!r}: {error!r}") from error


def _values(document: dict[str, Any]) -> dict[str, Any]:
    if document["schema_version"] > SCHEMA_VERSION:
        raise ValueError(f"schema version {document['schema_version']} is newer than {SCHEMA_VERSION}")
    values = {name: document[name] for name in _CLASSES if name in document or name not in _ADDED}
    values["state"] = State(values["state"])
    values["substate"] = Substate(values["substate"]) if values["substate"] else None
    values["error"] = JobError(**values["error"]) if values["error"] else None
    values["progress"] = Progress(**values["progress"]) if values["progress"] else None
    return values


def _checked(job: Job) -> Job:
    for name, classes in _CLASSES.items():
        if not isinstance(value := getattr(job, name), classes):
            raise TypeError(f"{name} is {value!r}")
    return job


def _classes(hint: Any) -> tuple[type, ...]:
    """What `isinstance` takes for an annotation; a whole number is good for a float."""
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    classes = tuple(get_origin(part) or part for part in parts)
    return (*classes, int) if float in classes else classes


_ADDED = frozenset({"rank_at", "weight", "parent", "claimed_at"})
"""Fields that documents written before there were any may lack."""
_HINTS = get_type_hints(Job)
_CLASSES = {field.name: _classes(_HINTS[field.name]) for field in fields(Job)}
