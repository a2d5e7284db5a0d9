"""The archive runs as Cloud Functions run it: unpacked alone, with its own requirements, by its entry points."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local import package
from local.tools import UV
from tests.caller_keys import SIGNING
from tests.conftest import SECRETS, SETTINGS
from tests.deploy.test_images import answer
from tests.machine import free_port
from tests.waiting import wait_until

COMMON = {**SIGNING, "OMNI_KEY_PEPPER": "pepper", "API_KEYS": "master-key-root-1"}
KEY = {"authorization": "Bearer master-key-root-1"}


@dataclass(frozen=True, slots=True)
class Archive:
    folder: Path
    """Where it is unpacked."""
    program: Path
    """The Functions Framework, in an environment that holds its requirements and nothing else."""

    @contextmanager
    def running(self, target: str, log: Path, **settings: str) -> Iterator[str]:
        """A function as the buildpack starts it, told all else by its environment; its address."""
        port = free_port()
        inherited = {
            name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS | {"PYTHONPATH"}
        }
        given = {**inherited, **COMMON, **settings, "FUNCTION_TARGET": target, "PORT": str(port), "HOST": "127.0.0.1"}
        with log.open("wb") as out:
            process = subprocess.Popen([self.program], cwd=self.folder, env=given, stdout=out, stderr=out)
        base_url = f"http://127.0.0.1:{port}"

        def is_up() -> object:
            assert process.poll() is None, log.read_text()[-3000:]
            return answer(f"{base_url}/api/health")

        try:
            wait_until(is_up, description=f"{target} answers", within_s=60)
            yield base_url
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive")
    package.write(folder / "functions.zip", package.CHECKOUT / "models.toml")
    with zipfile.ZipFile(folder / "functions.zip") as packed:
        packed.extractall(folder / "function")
    venv = folder / "venv"
    _call(UV, "venv", "--quiet", "--python", _production_python(), str(venv))
    requirements = str(folder / "function" / "requirements.txt")
    _call(UV, "pip", "install", "--quiet", "--require-hashes", "--python", f"{venv}/bin/python", "-r", requirements)
    return Archive(folder / "function", venv / "bin" / "functions-framework")


def _production_python() -> str:
    """Python 3.13, as the functions have it, where this machine has one."""
    found = subprocess.run(
        [UV, "python", "find", "--no-python-downloads", "3.13"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or sys.executable


def _call(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def internal(folder: Path) -> Mapping[str, str]:
    return {"RUN_AS_INTERNAL": "1", "OMNI_STATE_DIR": str(folder / "state")}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_request_goes_through_the_gateway_to_a_function_of_its_own(archive: Archive, tmp_path: Path) -> None:
    """The gateway's environment is Terraform's, but for what there is only on Google Cloud."""
    state = str(tmp_path / "state")
    with (
        archive.running("keys_create", tmp_path / "keys.log", **internal(tmp_path)) as keys,
        archive.running(
            "gateway", tmp_path / "gateway.log", FUNCTION_USE_ASGI="true", OMNI_ROUTES_URL=keys, OMNI_STATE_DIR=state
        ) as gateway,
    ):
        made = answer(f"{gateway}/api/v1/keys", {"name": "laptop", "scopes": ["inference"]}, **KEY)
        assert made["key"].startswith("omni_")
        assert answer(f"{gateway}/api/v1/keys", {"name": "laptop"}) is None  # without a key nobody gets in
        assert answer(f"{keys}/internal/api/v1/keys", {"name": "laptop"}, **KEY) is None  # nor past the gateway
