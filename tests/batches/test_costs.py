"""What a batch costs in the store, counted as Firestore bills it: by the chunk, not by the line."""

from pathlib import Path

import pytest

from shared.core.batches import Status
from tests.batches.conftest import World, lines
from tests.jobs.conftest import CountingStore

CHUNK_READS, CHUNK_WRITES = 12, 4
"""Of a chunk: made, let in, claimed, finished; the rest is its share of looking for the next and of counting."""
BATCH_READS, BATCH_WRITES = 60, 20
"""Of the batch itself, its file, its output, its plan and its end."""


class CountedWorld(World):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.counted = CountingStore(self.ports.store)
        self.ports.store = self.counted
        workshop = self._workshop()
        self.batches, self.jobs = workshop.batches, workshop.jobs


@pytest.mark.parametrize("chunks", [1, 10, 100])
def test_reads_and_writes_grow_with_the_chunks_alone(tmp_path: Path, chunks: int) -> None:
    world = CountedWorld(tmp_path)
    batch = world.batch(lines(100 * chunks))
    world.work()
    assert world.now(batch).status is Status.COMPLETED
    assert world.counted.writes <= BATCH_WRITES + CHUNK_WRITES * chunks
    assert world.counted.reads <= BATCH_READS + CHUNK_READS * chunks
