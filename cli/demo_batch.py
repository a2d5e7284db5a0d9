"""The demo's batch: a file of questions up, its answers down."""

from typing import TYPE_CHECKING

import msgspec

from cli import batch as batches
from cli import files
from cli.answers import Batch, BatchLine, File
from cli.batch_views import told
from cli.errors import CliError
from cli.progress import follow

if TYPE_CHECKING:
    from cli.demo_steps import Stage

QUESTIONS = ("Name a colour.", "Name an animal.", "Name a fruit.", "Name a city.", "Name a tree.")
BATCH_WITHIN_S = 180.0


def batch(stage: "Stage") -> str:
    narrator, client = stage.narrator, stage.client
    narrator.asked(f"POST {files.PATH}  {len(QUESTIONS)} questions, a line each")
    lines = b"\n".join(_line(stage.model, number, text) for number, text in enumerate(QUESTIONS, 1))
    uploaded = client.upload(files.PATH, {"purpose": "batch"}, "file", ("demo.jsonl", lines)).as_type(File)
    narrator.came(f"200: {uploaded.id}")
    narrator.asked(f"POST {batches.PATH}")
    wanted = {"input_file_id": uploaded.id, "endpoint": batches.CHAT, "completion_window": "24h"}
    made = client.post(batches.PATH, wanted).as_type(Batch)
    narrator.came(f"200: {made.id}")
    done, took_s = _watched(stage, made.id)
    if done.status != "completed" or done.output_file_id is None:
        raise CliError(f"The batch is {told(done)}.")
    with client.download(f"{files.PATH}/{done.output_file_id}/content") as (_, parts):
        answers = [msgspec.json.decode(line, type=BatchLine) for line in b"".join(parts).splitlines()]
    for each in sorted(answers, key=lambda answer: answer.custom_id):
        narrator.quote(f"{each.custom_id}: {each.text or '(nothing)'}")
    counts = done.request_counts
    return f"{counts.completed} of {counts.total} lines answered in {took_s:.2f} s"


def _watched(stage: "Stage", batch_id: str) -> tuple[Batch, float]:
    path = batches.path(batch_id)
    stage.narrator.asked(f"GET {path}  until it is final")
    began = stage.client.monotonic()
    seen: list[str] = []

    def show(batch: Batch) -> None:
        elapsed_s = stage.client.monotonic() - began
        if told(batch) not in seen:
            seen.append(told(batch))
            stage.narrator.came(f"{told(batch)}, after {elapsed_s:.2f} s")
        if elapsed_s > BATCH_WITHIN_S and not batch.is_final:
            raise CliError(f"The batch is still {told(batch)} after {BATCH_WITHIN_S:g} s.")

    done = follow(stage.client, path, show, stage.sleep, kind=Batch).as_type(Batch)
    return done, stage.client.monotonic() - began


def _line(model: str, number: int, text: str) -> bytes:
    body = {"model": model, "max_tokens": 24, "messages": [{"role": "user", "content": text}]}
    return msgspec.json.encode({"custom_id": f"{number}", "method": "POST", "url": batches.CHAT, "body": body})
