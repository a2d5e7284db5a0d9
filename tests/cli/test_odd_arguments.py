"""Whatever stands on the command line or in the environment, the worst is one sentence and status 1 or 2."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.cli.conftest import Omni
from tests.cli.platform import Platform

CHECKOUT = Path(__file__).resolve().parents[2]
NOTHING: Mapping[str, str] = MappingProxyType({})
NOWHERE = ("--base-url", "http://127.0.0.1:9", "--api-key", "k")


def run(
    *arguments: str | bytes, stdout: int = subprocess.PIPE, environ: Mapping[str, str] = NOTHING
) -> subprocess.CompletedProcess[bytes]:
    """`omni` in a process of its own, without any platform."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("OMNI_")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=CHECKOUT,
        env={**known, "OMNI_STATE_DIR": "/nonexistent", **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )


def sentence(done: subprocess.CompletedProcess[bytes]) -> str:
    told = done.stderr.decode(errors="replace")
    assert done.returncode in {1, 2}, told
    assert "Traceback" not in told
    assert told.count("Error: ") == 1
    return told.rpartition("Error: ")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chat", "hi", "--model", "m", "--temperature", "nan"), "--temperature"),
        (("chat", "hi", "--model", "m", "--temperature", "inf"), "--temperature"),
        (("chat", b"\xff", "--model", "m"), "UTF-8"),
        (("keys", "create", b"\xff"), "UTF-8"),
        (("keys", "get", b"\xff"), "UTF-8"),
        (("keys", "update", "k1"), "nothing to change"),
        (("keys", "rotate", "k1", "--overlap", "-1"), "--overlap"),
        (("jobs", "submit", "--prompt", b"\xff", "--model", "m"), "UTF-8"),
        (("jobs", "submit", "chat_completions", "--input", "/etc"), "Is a directory"),
        (("jobs", "submit", "chat_completions", "--input", "/etc/passwd"), "no JSON object"),
        (("jobs", "submit", "chat_completions", "--input", b"/\xff"), "No such file"),
        (("jobs", "submit", "--prompt", "x", "--metadata", "novalue"), "novalue"),
        (("jobs", "submit", "--prompt", "x", "--attempts", "0"), "--attempts"),
        (("jobs", "submit", "--prompt", "x", "--timeout", "0"), "--timeout"),
    ],
)
def test_an_odd_argument_is_named(arguments: tuple[str | bytes, ...], said: str) -> None:
    assert said in sentence(run(*arguments, *NOWHERE))


@pytest.mark.parametrize("key", ["é", "a b", "a\nb", b"\xff"])
def test_a_key_that_no_header_can_carry(key: str | bytes) -> None:
    assert "visible ASCII" in sentence(run("models", "--base-url", "http://127.0.0.1:9", "--api-key", key))


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://a b", "http://a..b", "http://a:99999", "ftp://a", "http://a:0"]
)
def test_an_address_that_is_none(url: str) -> None:
    assert "The address" in sentence(run("models", "--base-url", url, "--api-key", "k"))


@pytest.mark.parametrize("folder", ["/proc/nope", "/etc/passwd", "/dev/null/x"])
def test_a_state_folder_that_cannot_be(folder: str) -> None:
    assert "OMNI_STATE_DIR" in sentence(run("up", "--port", "9", "--model", "none", environ={"OMNI_STATE_DIR": folder}))
    sentence(run("models", environ={"OMNI_STATE_DIR": folder}))


@pytest.mark.parametrize("model", [(), ("--model", "none")])
@pytest.mark.parametrize(
    "content", [None, "folder", b"\xff\xfe", b"[[model]]\nid = 1", b'[[model]]\nid="m"\nupstreams=[{url="http://"}]']
)
def test_a_catalogue_that_is_none(tmp_path: Path, content: bytes | str | None, model: tuple[str, ...]) -> None:
    file = tmp_path / "models.toml"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        file.mkdir()
    settings = {"OMNI_MODELS_FILE": str(file), "OMNI_STATE_DIR": str(tmp_path / "state")}
    assert str(file) in sentence(run("up", "--port", "9", *model, environ=settings))


def test_a_catalogue_with_a_kind_that_there_is_not(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('[[model]]\nid = "m"\nkinds = ["telepathy"]\nupstreams = [{ worker = true }]\n')
    settings = {"OMNI_MODELS_FILE": str(file), "OMNI_STATE_DIR": str(tmp_path / "state")}
    told = sentence(run("up", "--port", "9", environ=settings))
    assert "telepathy" in told
    assert "kinds" in told


def test_a_dev_env_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "dev.env").write_bytes(b"\xff\xfe\x00OMNI_BASE_URL")
    sentence(run("models", environ={"OMNI_STATE_DIR": str(tmp_path)}))


def test_a_full_disk_and_a_reader_who_left() -> None:
    with Path("/dev/full").open("wb") as full:
        assert "No space left" in sentence(run("--help", stdout=full.fileno()))
    read, write = os.pipe()
    os.close(read)
    done = run("--help", stdout=write)
    os.close(write)
    assert b"Traceback" not in done.stderr


def test_jobs_are_submitted_with_all_terms(omni: Omni, platform: Platform, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"model": "m", "messages": []}')
    terms = ("--priority", "high", "--metadata", "order=4=2", "--metadata", "a=", "--timeout", "60", "--attempts", "2")
    result = omni("jobs", "submit", "chat_completions", "--input", str(request), *terms)
    assert result.exit_code == 0, result.stderr
    assert platform.asked[-1].body == {
        "task": "chat_completions",
        "input": {"model": "m", "messages": []},
        "priority": "high",
        "metadata": {"order": "4=2", "a": ""},
        "timeout_s": 60,
        "max_attempts": 2,
    }


def test_keys_are_shown_changed_and_rotated(omni: Omni, platform: Platform) -> None:
    omni("keys", "create", "laptop")
    assert "laptop" in omni("keys", "get", "key0").stdout
    changed = omni("keys", "update", "key0", "--name", "desk", "--tier", "premium", "--scope", "jobs")
    assert platform.asked[-1].body == {"name": "desk", "tier": "premium", "scopes": ["jobs"]}
    assert "desk" in changed.stdout
    rotated = omni("keys", "rotate", "key0", "--overlap", "60")
    assert platform.asked[-1].body == {"overlap_s": 60}
    assert rotated.stdout.strip() == platform.keys["key0"]["key"]
    assert omni("keys", "get", "nobody").exit_code == 1
