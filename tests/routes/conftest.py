"""All route functions on the embedded adapters, behind Flask as the Functions Framework puts them."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import flask
import pytest
from werkzeug.test import EnvironBuilder, TestResponse

from functions.routes.main import build
from shared import manifest
from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.core.keys import GRANTABLE_SCOPES, SYSTEM, Caller, Scope, Tier
from shared.keys.caller_token import HEADER
from shared.settings import Settings
from shared.wiring import Ports
from tests.caller_keys import SIGNING, function_token
from tests.fakes import FakeVerifier
from tests.google_identity import ACCOUNT

MODELS = Path(manifest.__file__).parent.parent / "models.toml"
SECRETS = {
    "API_KEYS": "prod-key-acme-1,free-key-ann-1,master-key-root-1",
    **SIGNING,
    "OMNI_KEY_PEPPER": "pepper",
    "OMNI_WEBHOOK_KEY": "webhooks",
}
ADMIN = Caller("env-admin", "root", Tier.MASTER, GRANTABLE_SCOPES, 0)
ACME = Caller("k-acme", "acme", Tier.PREMIUM, frozenset({Scope.JOBS, Scope.INFERENCE}), 1000)


class Routes:
    """A process that serves every route function."""

    def __init__(self, tmp_path: Path, *, internal: bool, models_file: Path = MODELS, **settings: Any) -> None:
        self.settings = Settings(
            state_dir=tmp_path,
            models_file=models_file,
            run_as_internal=internal,
            system_accounts=ACCOUNT,
            **settings,
        )
        self.ports = Ports(self.settings)
        self.ports.secrets = EnvironmentSecrets(SECRETS)
        self.ports.verifier = FakeVerifier("token", ACCOUNT)
        served = [route for route in manifest.load() if route.kind not in {"inference", "stream"}]
        edge = build(self.settings, self.ports, served)
        app = flask.Flask("routes")
        app.before_request(lambda: edge.serve(flask.request))
        self._client = app.test_client()

    def call(self, method: str, path: str, caller: Caller | None = None, **options: Any) -> TestResponse:
        headers = options.pop("headers", {})
        if "json" in options:  # as bytes, since they are signed
            options |= {"data": json.dumps(options.pop("json")), "content_type": "application/json"}
        if caller is SYSTEM:
            headers["authorization"] = "Bearer token"
        elif caller:
            headers[HEADER] = self.signed(method, path, caller, **options)
        return self._client.open(path, method=method, headers=headers, **options)

    def signed(self, method: str, path: str, caller: Caller, **options: Any) -> str:
        """What the gateway would send along."""
        options.pop("environ_overrides", None)
        request = EnvironBuilder(path, method=method, **options).get_request()
        url = "?".join(filter(None, [quote(request.path), request.query_string.decode("latin-1")]))
        return function_token(caller, method, url, self.ports.clock.now(), body=request.get_data())


@pytest.fixture
def routes(tmp_path: Path) -> Routes:
    return Routes(tmp_path, internal=True)


@pytest.fixture
def public_routes(tmp_path: Path) -> Routes:
    return Routes(tmp_path, internal=False)


def problem(response: TestResponse) -> tuple[int, str, str | None]:
    """Status, code and param of an answer in the one error shape."""
    answer = response.get_json()
    assert set(answer) == {"error", "request_id"}
    assert answer["request_id"] == response.headers["x-request-id"]
    return response.status_code, answer["error"]["code"], answer["error"]["param"]
