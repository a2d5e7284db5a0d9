"""The processes of the local stack, each of ours started by the command that starts it in production."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.addresses import HOST, Addresses
from local.credentials import Credentials, public_key
from local.model_choice import ModelChoice
from local.process import Program
from local.state_choice import StateChoice

CHECKOUT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
FUNCTIONS_FRAMEWORK = str(Path(sys.executable).with_name("functions-framework"))
FRAMEWORK_VARIABLES = frozenset({"DEBUG", "FUNCTION_TARGET", "FUNCTION_SOURCE", "FUNCTION_SIGNATURE_TYPE", "WORKERS"})
"""Variables by which the Functions Framework would take other options than ours; `DEBUG` is often set by chance."""
OF_THE_GATEWAY = frozenset({"API_KEYS", "OMNI_CALLER_PRIVATE_KEY"})
"""What whoever stands behind the gateway does not get: it verifies callers and can make none."""
ROUTES_THREADS = "64"
"""Of the route functions' server: webhooks to slow receivers take up to 16 of them, the schedules 8, and callers
OMNI_ROUTE_CALLS with what is kept for other tenants."""
EMULATOR_GRACE_S = 0.4


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything the processes are told."""

    inherited: Mapping[str, str]
    """The environment of `./omni up` itself."""
    state: StateChoice
    state_dir: Path
    addresses: Addresses
    credentials: Credentials
    model: ModelChoice

    def programs(self) -> tuple[Program, ...]:
        """In the order in which they are stopped, callers before what they call; together they get less than 10 s."""
        at = self.addresses
        return (
            self._server("gateway", at.gateway, FUNCTIONS_FRAMEWORK, "--target", "gateway", "--asgi", grace_s=2.5),
            self._program("scheduler", PYTHON, "-m", "local.scheduler"),
            self._program("dispatcher", PYTHON, "-m", "local.dispatcher"),
            self._server("routes", at.routes, FUNCTIONS_FRAMEWORK, "--target", "routes", grace_s=1.5),
            self._server("worker", at.worker, PYTHON, "-m", "jobs.ml_worker.main", grace_s=3),
            *self._emulators(),
        )

    def _emulators(self) -> tuple[Program, ...]:
        """None keeps anything that stopping in peace would save."""
        state = self.state
        if not state.emulator:
            return ()
        return (Program("firestore", state.emulator, self.inherited, CHECKOUT, state.emulator_url, EMULATOR_GRACE_S),)

    def _program(self, name: str, *command: str) -> Program:
        return Program(name, command, self._environment(), CHECKOUT)

    def _server(self, name: str, port: int, *command: str, grace_s: float) -> Program:
        is_behind_gateway = name != "gateway"
        environment = self._environment()
        if is_behind_gateway:
            environment = {key: value for key, value in environment.items() if key not in OF_THE_GATEWAY}
        environment |= {"HOST": HOST, "PORT": str(port), "RUN_AS_INTERNAL": "1" if is_behind_gateway else "0"}
        environment.setdefault("THREADS", ROUTES_THREADS)
        return Program(name, command, environment, CHECKOUT, f"http://{HOST}:{port}/ready", grace_s)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in self.inherited.items() if name not in FRAMEWORK_VARIABLES}
        api_keys = [self.credentials.master_key, inherited.get("API_KEYS", "")]
        private_key = inherited.get("OMNI_CALLER_PRIVATE_KEY") or self.credentials.caller_private_key
        return {
            "OMNI_CALLER_PRIVATE_KEY": private_key,
            "OMNI_CALLER_PUBLIC_KEYS": public_key(private_key),
            "OMNI_KEY_PEPPER": self.credentials.key_pepper,
            "OMNI_WEBHOOK_KEY": self.credentials.webhook_key,
            **inherited,
            **self.model.environment,
            **self.state.environment,
            "API_KEYS": ",".join(key for key in api_keys if key),
            "OMNI_ENV": "local",
            "OMNI_STATE_DIR": str(self.state_dir),
            "OMNI_ROUTES_URL": self.addresses.routes_url,
            "OMNI_WORKER_URL": self.addresses.worker_url,
            "PYTHONUNBUFFERED": "1",
        }
