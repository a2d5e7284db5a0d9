"""Which file is loaded, and that no other is."""

import hashlib
from pathlib import Path

import pytest

from jobs.ml_worker.engines import weights
from jobs.ml_worker.engines.engine import EngineFailed
from shared.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


def test_the_default_is_the_file_that_comes_with_the_package() -> None:
    path = weights.verified(Settings())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.CARRIED_SHA256


def test_a_file_by_path_needs_no_hash(file: Path) -> None:
    assert weights.verified(Settings(worker_model="mine", worker_model_path=str(file))) == file


def test_a_file_by_path_is_held_to_the_hash_it_is_given(file: Path) -> None:
    good = Settings(worker_model_path=str(file), worker_model_sha256=hashlib.sha256(b"weights").hexdigest().upper())
    assert weights.verified(good) == file
    with pytest.raises(EngineFailed, match="not the ones expected"):
        weights.verified(Settings(worker_model_path=str(file), worker_model_sha256="ab" * 32))


def test_the_default_file_never_poses_as_another_model() -> None:
    with pytest.raises(EngineFailed, match="OMNI_WORKER_MODEL_PATH"):
        weights.verified(Settings(worker_model="llama-9000b"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"none\.gguf"):
        weights.verified(Settings(worker_model_path=str(tmp_path / "none.gguf")))
