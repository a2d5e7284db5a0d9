"""The whole platform as a test sees it: `omni up` in a process of its own, and what it says."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import openai

from tests.conftest import SECRETS, SETTINGS
from tests.engine_under_test import START_S
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parent.parent.parent
STOP_S = 60.0
"""Long enough for a busy machine; what each process may take is less than 10 s together: tests/local/test_stack.py."""
STARTED = re.compile(r"(\w+) started as process (\d+)")


class RunningStack:
    """Up on entering the context, down on leaving it. The folder keeps the state from one to the next."""

    def __init__(
        self, state_dir: Path, port: int, model: str | None = None, state: str = "sqlite", **settings: str
    ) -> None:
        self.state_dir = state_dir
        self._settings = settings
        self.base_url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "cli", "up", "--port", str(port), "--state", state]
        self._command += ["--model", model] if model else []

    def __enter__(self) -> Self:
        self.out: list[str] = []
        self.log: list[dict[str, Any]] = []
        """What the processes and their supervisor logged."""
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS}
        self._process = subprocess.Popen(
            self._command,
            cwd=CHECKOUT,
            env={**inherited, **self._settings, "OMNI_STATE_DIR": str(self.state_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_log)]
        for reader in self._readers:
            reader.start()
        wait_until(lambda: self.is_ready or not self.is_up, description="READY", within_s=START_S)
        if not self.is_ready:
            self.stop()
            raise AssertionError("omni up ended: " + "\n".join(map(str, self.log[-20:])))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def is_up(self) -> bool:
        return self._process.poll() is None

    @property
    def is_ready(self) -> bool:
        return f"READY {self.base_url}" in self.out

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self._process.pid

    def openai(self, api_key: str = "") -> openai.OpenAI:
        """The official client, with the stack's own key unless another is given. It has to be closed."""
        return openai.OpenAI(
            base_url=f"{self.base_url}/v1", api_key=api_key or self.api_key, max_retries=0, timeout=120
        )

    @property
    def api_key(self) -> str:
        """The master key."""
        return self.dev_env["OMNI_API_KEY"]

    @property
    def dev_env(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.state_dir / "dev.env").read_text().splitlines())

    def starts(self, name: str) -> list[int]:
        """The process id of every start of the process, the latest last."""
        found = (STARTED.fullmatch(line.get("message", "")) for line in list(self.log))
        return [int(match[2]) for match in found if match and match[1] == name]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends the signal unless it is down already; the exit status, once everything has ended."""
        self._process.send_signal(number)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"omni up did not stop within {STOP_S:g} s") from None
        finally:
            for reader in self._readers:
                reader.join()
        return code

    def _read_out(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                self.out.append(line.rstrip("\n"))

    def _read_log(self) -> None:
        assert self._process.stderr
        with self._process.stderr as lines:
            for line in lines:
                self.log.append(_record(line))


def _record(line: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"message": line}
    return record
