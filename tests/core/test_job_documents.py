"""A job survives the store, and a document that is no job is told apart."""

import json
from typing import Any

import pytest

from shared.core.errors import BadDocument
from shared.core.job_documents import SCHEMA_VERSION, from_document, to_document
from shared.core.job_transitions import finish, heartbeat
from shared.core.jobs import Failed, JobError, Progress, Succeeded
from tests.core.test_jobs import FINAL, NOW, queued, running

JOBS = [
    queued(),
    queued(metadata={"a": "b"}, input={"messages": [{"content": "é"}]}, webhook={"url": "https://example.org"}),
    running(),
    heartbeat(running(), 1, NOW, 60.0, Progress(0.25, "a quarter")),
    finish(running(), 1, Failed(JobError("x", "y", retryable=True)), NOW, 0.5),
    finish(running(), 1, Succeeded(None, "file-blob:a", {"total_tokens": 1}), NOW, 0.5),
    *FINAL,
]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_comes_back_from_its_document(job: Any) -> None:
    document = json.loads(json.dumps(to_document(job)))
    assert from_document(document) == job


def test_a_document_names_its_schema() -> None:
    assert to_document(queued())["schema_version"] == SCHEMA_VERSION


def test_times_may_be_whole_numbers() -> None:
    assert from_document(to_document(queued()) | {"created_at": 5}).created_at == 5


@pytest.mark.parametrize(
    "change",
    [
        {"state": "lost"},
        {"substate": "lost"},
        {"attempt": "three"},
        {"epoch": None},
        {"tenant": 5},
        {"lease_expires_at": "soon"},
        {"error": {"surprise": 1}},
        {"error": "text"},
        {"progress": [1]},
        {"metadata": None},
        {"schema_version": SCHEMA_VERSION + 1},
        {"schema_version": None},
    ],
)
def test_a_wrong_field_makes_a_bad_document(change: dict[str, Any]) -> None:
    with pytest.raises(BadDocument, match="job_1"):
        from_document(to_document(queued()) | change)


@pytest.mark.parametrize("name", sorted(set(to_document(queued())) - {"lane", "rank_at", "weight", "claimed_at"}))
def test_a_missing_field_makes_a_bad_document(name: str) -> None:
    document = to_document(queued())
    del document[name]
    with pytest.raises(BadDocument):
        from_document(document)


def test_an_empty_document_is_bad() -> None:
    with pytest.raises(BadDocument):
        from_document({})
