"""As in production: Cloud Tasks wakes the worker, which believes nobody but the platform. Google is on local ports."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench import stream_upstream
from shared.core.keys import SYSTEM, Caller, Scope, Tier
from shared.keys.caller_token import HEADER, WORKER, Call
from tests import cloud_tasks, google_identity
from tests.caller_keys import SIGNING, function_token, signed
from tests.cloud_tasks import CloudTasks
from tests.conftest import SECRETS, SETTINGS
from tests.google_identity import ACCOUNT, Google
from tests.machine import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.stack
CHECKOUT = Path(__file__).resolve().parents[2]
FRAMEWORK = str(Path(sys.executable).with_name("functions-framework"))
CALLER = Caller("k", "acme", Tier.PREMIUM, frozenset({Scope.JOBS}), 0)
JOB = {
    "task": "chat_completions",
    "model": "smollm2-135m-instruct",
    "input": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1},
}
START_S = 90.0


class Platform:
    """Route functions and worker, in production's environment."""

    def __init__(self, google: Google, tasks: CloudTasks, routes_url: str, worker_url: str) -> None:
        self.google, self.tasks = google, tasks
        self.routes_url, self.worker_url = routes_url, worker_url

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        body = json.dumps(options.pop("json")).encode() if "json" in options else b""
        headers = {HEADER: function_token(CALLER, method, path, time.time(), body=body)}
        url = f"{self.routes_url}/internal{path}"
        return httpx.request(method, url, headers=headers, content=body, timeout=30, **options)

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/api/v1/jobs/{job_id}").json()
        return found

    def call(self, url: str, token: str, body: Any = None) -> int:
        return httpx.post(url, headers={"authorization": f"Bearer {token}"}, json=body, timeout=30).status_code


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder, routes, worker = tmp_path_factory.mktemp("platform"), free_port(), free_port()
    upstream = stream_upstream.program(0.0)
    with google_identity.running() as google, cloud_tasks.running(google) as tasks, ExitStack() as stack:
        made = Platform(google, tasks, f"http://127.0.0.1:{routes}", f"http://127.0.0.1:{worker}")
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS}
        environment = inherited | {
            "OMNI_ENV": "production",
            "RUN_AS_INTERNAL": "1",
            "HOST": "127.0.0.1",
            "OMNI_STATE_DIR": str(folder),
            **SIGNING,
            "OMNI_KEY_PEPPER": secrets.token_hex(16),
            "OMNI_PROJECT": "test-project",
            "OMNI_QUEUE": "cloudtasks",
            "OMNI_CLOUD_TASKS_ENDPOINT": tasks.endpoint,
            "OMNI_TASKS_ACCOUNT": ACCOUNT,
            "OMNI_SYSTEM_ACCOUNTS": ACCOUNT,
            "OMNI_CERTIFICATES_URL": google.certificates_url,
            "OMNI_ROUTES_URL": made.routes_url,
            "OMNI_WORKER_URL": made.worker_url,
            "OMNI_WORKER_ENGINE": "llama_server",
            "OMNI_WORKER_ENGINE_URL": f"http://127.0.0.1:{upstream.port}",
        }
        stack.enter_context(running(folder / "upstream.log", upstream.command, environment))
        worker_command = (sys.executable, "-m", "jobs.ml_worker.main")
        stack.enter_context(running(folder / "worker.log", worker_command, environment | {"PORT": str(worker)}))
        routes_command = (FRAMEWORK, "--target", "routes")
        stack.enter_context(running(folder / "routes.log", routes_command, environment | {"PORT": str(routes)}))
        for url in (made.worker_url, made.routes_url):
            wait_until(lambda url=url: is_ready(url), description=f"{url} is ready", within_s=START_S)  # type: ignore[misc]
        yield made


@contextmanager
def running(log: Path, command: tuple[str, ...], environment: dict[str, str]) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=15)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=10).is_success
    except httpx.TransportError:
        return False


def test_a_job_goes_through_cloud_tasks_to_the_worker_and_succeeds(platform: Platform) -> None:
    made = platform.ask("POST", "/api/v1/jobs", json=JOB)
    assert made.status_code == 202, made.text
    job_id = made.json()["id"]
    wait_until(lambda: platform.job(job_id)["finished_at"], description="the job's end", within_s=60)
    job = platform.job(job_id)
    assert (job["state"], job["attempt"]) == ("succeeded", 1), job
    wait_until(lambda: not platform.tasks.waiting, description="the task was answered")
    assert all(name.startswith(cloud_tasks.PARENT + "gpu-lo/tasks/") for name in platform.tasks.names)


def test_only_the_platform_wakes_the_worker_and_runs_schedules(platform: Platform) -> None:
    google, wake_up = platform.google, {"job_id": "job_nobody", "seq": 1}
    tasks, schedule = f"{platform.worker_url}/tasks/run", f"{platform.routes_url}/internal/schedules/jobs-sweep"
    for url, audience, body in ((tasks, platform.worker_url, wake_up), (schedule, platform.routes_url, None)):
        assert platform.call(url, google.token(audience), body) == 200
        assert platform.call(url, google.token(url), body) == 401
        assert platform.call(url, google.token(audience, "someone@else.com"), body) == 403
        assert (
            platform.call(url, google.token(audience).rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE", body) == 401
        )
        assert platform.call(url, "nonsense", body) == 401
    headers = {HEADER: signed(SYSTEM, Call(WORKER, "POST", "/tasks/run"), time.time())}
    assert httpx.post(tasks, headers=headers, json=wake_up, timeout=30).status_code == 401


def test_production_does_not_start_without_accounts(tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS | SECRETS}
    environment = inherited | {"OMNI_STATE_DIR": str(tmp_path), **SIGNING, "RUN_AS_INTERNAL": "1"}
    command = [sys.executable, "-m", "jobs.ml_worker.main"]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "OMNI_SYSTEM_ACCOUNTS" in done.stderr
