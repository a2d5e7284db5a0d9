"""Batches whose workers are killed: each line once, the counts add up, and a kill costs at most 50 lines."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.ml_worker.lines import Pace
from shared import manifest
from shared.batches.batches import Batches, BatchOrder
from shared.core.batches import Batch, Counts, Status
from shared.files.files import Files, FileTerms
from shared.jobs.jobs import Jobs
from shared.settings import Settings
from shared.wiring import Ports
from tests.conftest import SECRETS, SETTINGS
from tests.firestore_emulator import FirestoreEmulator, new_project
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parent.parent.parent
MODELS = Path(manifest.__file__).parent.parent / "models.toml"
LEASE_S = 1.0
WORKERS = 3
SEED, LINES, KILLS = (
    int(os.environ.get(name, default))
    for name, default in (("CHAOS_SEED", "1"), ("CHAOS_LINES", "1500"), ("CHAOS_KILLS", "6"))
)
"""The long form: 5000 lines and 20 kills."""


class Platform:
    """Store and blobs, and worker processes on them."""

    def __init__(self, folder: Path, **state: str) -> None:
        """`state` says where the documents are, when not in the folder."""
        self.folder = folder
        self.log = folder / "asked.log"
        self.environment = {
            "OMNI_STATE_DIR": str(folder),
            "OMNI_MODELS_FILE": str(MODELS),
            "OMNI_LEASE_S": str(LEASE_S),
            **state,
        }
        settings = Settings.load(self.environment)
        ports = Ports(settings)
        self.files = Files(ports.store, ports.blobs, ports.clock)
        self.jobs = Jobs(ports.store, ports.queue, ports.blobs, ports.clock, settings)
        self.batches = Batches(ports.store, self.jobs, ports.clock, settings)

    def batch(self, count: int) -> Batch:
        body = {"model": "smollm2-135m-instruct", "messages": [{"role": "user", "content": ""}]}
        line = {"method": "POST", "url": "/v1/chat/completions"}
        text = "".join(
            json.dumps(
                line | {"custom_id": f"r{n}", "body": body | {"messages": [{"role": "user", "content": f"r{n}"}]}}
            )
            + "\n"
            for n in range(count)
        )
        file = self.files.create(FileTerms("acme", "k", "batch", "in.jsonl"), iter([text.encode()]))
        return self.batches.create(
            BatchOrder("acme", "k", None, 4, "/v1/chat/completions", file.id, {}, output_lifetime_s=86400.0)
        )

    def worker(self, *options: str, index: int = 0) -> subprocess.Popen[bytes]:
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS}
        share = {"CLOUD_RUN_TASK_INDEX": str(index), "CLOUD_RUN_TASK_COUNT": str(WORKERS)}
        return subprocess.Popen(
            [sys.executable, "-m", "bench.instant_worker", "--log", str(self.log), *options],
            cwd=CHECKOUT,
            env={**inherited, **self.environment, **share, "OMNI_LOG_LEVEL": "ERROR"},
        )

    def now(self, batch: Batch) -> Batch:
        return self.batches.get(batch.tenant, batch.id)

    def asked(self) -> list[str]:
        """What the model was asked, by all workers."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def lines(self, file_id: str | None) -> list[str]:
        """The custom ids in a file of results."""
        if file_id is None:
            return []
        content = b"".join(self.files.read(self.files.get("acme", file_id)))
        return [json.loads(line)["custom_id"] for line in content.splitlines()]


@contextmanager
def fleet(platform: Platform, *options: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    workers = [platform.worker(*options, index=index) for index in range(WORKERS)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def assert_each_line_once(platform: Platform, batch: Batch, count: int) -> None:
    done = platform.now(batch)
    assert done.status is Status.COMPLETED
    assert done.counts == Counts(count, count, 0)
    assert done.tokens is not None
    assert (done.tokens.input, done.tokens.output) == (3 * count, count), "what is billed is what was answered"
    assert Counter(platform.lines(done.output_file_id)) == Counter(f"r{number}" for number in range(count))
    assert done.error_file_id is None


@pytest.fixture(params=["sqlite", "firestore"])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Platform:
    if request.param == "sqlite":
        return Platform(tmp_path)
    emulator: FirestoreEmulator = request.getfixturevalue("firestore")
    return Platform(
        tmp_path, OMNI_STATE="firestore", FIRESTORE_EMULATOR_HOST=emulator.address, OMNI_PROJECT=new_project()
    )


def test_killed_workers_cost_at_most_fifty_lines_each(platform: Platform) -> None:
    kill_and_check(platform, LINES, KILLS, random.Random(SEED))


def kill_and_check(platform: Platform, count: int, kills: int, chance: random.Random) -> None:
    batch = platform.batch(count)
    with fleet(platform, "--stay", "--delay", "0.005") as workers:
        for kill in range(kills):
            wait_for_lines(platform, (kill + 1) * count // (kills + 2))
            place = chance.randrange(WORKERS)
            time.sleep(chance.random() * 0.05)
            workers[place].kill()
            workers[place].wait()
            workers[place] = platform.worker("--stay", "--delay", "0.005", index=place)
        wait_until(lambda: platform.now(batch).status.is_final, description="the end of the batch", within_s=120)
    assert_each_line_once(platform, batch, count)
    rework = len(platform.asked()) - count
    sys.stdout.write(f"{count} lines, {kills} SIGKILLs, {rework} lines done again, {rework / kills:.1f} a kill\n")
    assert rework <= kills * Pace().most_unsaved
    assert platform.jobs.reap().failed == 0


def wait_for_lines(platform: Platform, count: int) -> None:
    wait_until(lambda: len(platform.asked()) >= count, description=f"{count} lines asked", within_s=120)


def test_a_worker_told_to_stop_loses_nothing_and_asks_to_be_started_again(platform: Platform) -> None:
    batch = platform.batch(200)
    worker = platform.worker("--delay", "0.005")
    wait_for_lines(platform, 60)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 75
    assert platform.worker().wait(60) == 0
    assert_each_line_once(platform, batch, 200)
    assert len(platform.asked()) <= 200 + Settings().worker_slots, "only what was under way is done again"


def test_a_line_that_ends_its_worker_each_time_costs_only_itself(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    batch = platform.batch(150)
    wait_until(
        lambda: platform.worker("--die-on", "r57").wait(60) == 0, description="a worker that lives", within_s=150
    )
    done = platform.now(batch)
    assert (done.status, done.counts) == (Status.COMPLETED, Counts(150, 149, 1))
    assert platform.lines(done.error_file_id) == ["r57"]


def test_workers_stopped_past_their_lease_write_no_line_twice(platform: Platform) -> None:
    batch = platform.batch(400)
    with fleet(platform, "--stay", "--delay", "0.005") as workers:
        wait_for_lines(platform, 100)
        workers[0].send_signal(signal.SIGSTOP)
        time.sleep(LEASE_S * 2)
        workers[0].send_signal(signal.SIGCONT)
        wait_until(lambda: platform.now(batch).status.is_final, description="the end of the batch", within_s=60)
    assert_each_line_once(platform, batch, 400)
