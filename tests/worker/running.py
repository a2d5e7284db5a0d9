"""The worker as a process of its own, on a real port, with the real engine."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import openai

from tests.caller_keys import SIGNING
from tests.conftest import SECRETS, SETTINGS
from tests.engine_under_test import START_S
from tests.google_identity import ACCOUNT
from tests.machine import free_port
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parent.parent.parent
MODEL = "smollm2-135m-instruct"
KEY = "master-key-root-1"


class RunningWorker:
    """Up on entering the context, down on leaving it."""

    def __init__(self, state_dir: Path, **settings: str) -> None:
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        self.log: list[dict[str, Any]] = []
        self._settings = {
            "PORT": str(port),
            "OMNI_STATE_DIR": str(state_dir),
            "API_KEYS": KEY,
            **SIGNING,
            "OMNI_SYSTEM_ACCOUNTS": ACCOUNT,
            "OMNI_KEY_PEPPER": "pepper",
            **settings,
        }

    def __enter__(self) -> Self:
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobs.ml_worker.main"],
            cwd=CHECKOUT,
            env={**inherited, **self._settings},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def wait_until_ready(self) -> Self:
        wait_until(lambda: self.readiness()[0] == 200, description="the worker to be ready", within_s=START_S)
        return self

    def readiness(self) -> tuple[int, dict[str, str]]:
        """Status and services of /ready; status 0 while nothing listens."""
        try:
            response = httpx.get(f"{self.base_url}/ready")
        except httpx.TransportError:
            return 0, {}
        return response.status_code, response.json()["services"]

    def openai(self) -> openai.OpenAI:
        """The official client. It has to be closed."""
        return openai.OpenAI(base_url=f"{self.base_url}/v1", api_key=KEY, max_retries=0)

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.base_url, headers={"authorization": f"Bearer {KEY}"}, timeout=60)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def engine_pid(self) -> int:
        """The engine's process; 0 while there is none."""
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            if b"constraints.child" not in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        return 0

    def busy_slots(self) -> int:
        """How many requests the worker has in hand."""
        with self.http() as http:
            lines = http.get("/metrics").text.splitlines()
        return int(next(float(line.split()[1]) for line in lines if line.startswith("omni_worker_slots_busy ")))

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def stop(self, within_s: float = 60.0) -> None:
        if self._process.poll() is None:
            self.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._reader.join(within_s)
            assert not self._reader.is_alive(), "something that the worker left behind has its standard error open"
            if self._process.stderr:
                self._process.stderr.close()

    def _read_log(self) -> None:
        for line in self._process.stderr or ():
            self.log.append(msgspec.json.decode(line) if line.startswith("{") else {"message": line})
