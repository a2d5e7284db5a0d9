"""Writes what is made from the code: `python -m local.reference`

docs/reference.md is every setting, route, metric and error; firestore_indexes.py tells of the other file. Tests compare
the files with what this makes, so they cannot fall behind.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from jobs.ml_worker.completions import parameters
from jobs.ml_worker.completions.parameters import Parameter
from local import firestore_indexes
from shared import manifest, telemetry
from shared.core import errors
from shared.settings import SUBJECTS

REFERENCE = Path(__file__).parent.parent / "docs" / "reference.md"


def write() -> str:
    """The whole file."""
    return "\n".join(
        [
            "# Reference",
            "",
            "Made by `python -m local.reference`; change the code, not this file.",
            "",
            "## Routes",
            "",
            *_table(("method", "path", "needs", "what it does"), _routes()),
            "## OpenAI's parameters",
            "",
            "What the platform's own models do with them. A refusal is 400 with `unsupported_parameter`. A server",
            "elsewhere gets all of them as they come.",
            "",
            *_table(("chat completions", "handling"), _parameters(parameters.CHAT)),
            *_table(("text completions", "handling"), _parameters(parameters.TEXT)),
            "## Settings",
            "",
            "All are environment variables; an empty one counts as not set.",
            "",
            *_settings(),
            "## Secrets",
            "",
            *_table(("name", "meaning"), SECRETS),
            "## Metrics",
            "",
            *_table(("name", "labels", "meaning"), _metrics()),
            "## Errors",
            "",
            'Every error is `{"error": {"message", "type", "param", "code"}, "request_id"}`.',
            "",
            *_table(("status", "type", "code", "when"), _errors()),
        ]
    )


SECRETS = (
    ("`API_KEYS`", "Static keys, comma-separated; `prod-key-acme-2025` is tier premium, tenant acme."),
    ("`OMNI_CALLER_PRIVATE_KEY`", "Signs callers for functions and worker: Ed25519, PEM. The gateway alone has it."),
    ("`OMNI_CALLER_PUBLIC_KEYS`", "What functions and worker verify signed callers by: PEM, one after the other."),
    ("`OMNI_KEY_PEPPER`", "Mixed into the hashes of managed keys. Of several, the first is used, all are accepted."),
    ("`OMNI_WEBHOOK_KEY`", "Webhook secrets are made from it. Of several, the first makes new ones; all sign."),
    ("`OMNI_REDIS_PASSWORD`", "Redis' password, if it wants one; it does not belong into `OMNI_REDIS_URL`."),
)  # fmt: skip


def _routes() -> Iterator[tuple[str, ...]]:
    for route in (*manifest.load(), *manifest.SYSTEM):
        yield ", ".join(route.methods), f"`{route.path}`", route.scope or "nothing", route.summary


def _parameters(known: Mapping[str, Parameter]) -> Iterator[tuple[str, ...]]:
    for name, parameter in sorted(known.items()):
        yield f"`{name}`", parameter.handling


def _settings() -> Iterator[str]:
    """A table a subject, headed by what the subject's class says of itself."""
    for subject in SUBJECTS:
        yield from (f"### {(subject.__doc__ or '').removesuffix('.')}", "")
        yield from _table(("variable", "default", "unit", "meaning"), _knobs(subject))


def _knobs(subject: type[Any]) -> Iterator[tuple[str, ...]]:
    for each in fields(subject):
        default = int(each.default) if isinstance(each.default, bool) else each.default
        yield (
            f"`{each.metadata['env']}`",
            f"`{default}`" if default != "" else "",
            each.metadata["unit"],
            each.metadata["meaning"],
        )


def _metrics() -> Iterator[tuple[str, ...]]:
    for table in telemetry.METRICS.tables:
        yield f"`{table.name}`", ", ".join(table.label_names), table.documentation


def _errors() -> Iterator[tuple[str, ...]]:
    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.OmniError)]
    for each in sorted(found, key=lambda error: error.status):
        yield str(each.status), each.type, each.code, each.__doc__ or ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [_row(head), "|" + " --- |" * len(head), *map(_row, rows), ""]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    REFERENCE.write_text(write(), encoding="utf-8")
    firestore_indexes.FILE.write_text(firestore_indexes.write(), encoding="utf-8")
