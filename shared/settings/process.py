from dataclasses import dataclass
from pathlib import Path

from shared.settings.knob import knob


@dataclass(frozen=True)
class Process:
    """The process itself, and where the others are."""

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
    state_dir: Path = knob(Path(".omni"), "OMNI_STATE_DIR", "Folder of the embedded store, queue and blobs.")
    models_file: Path = knob(Path("models.toml"), "OMNI_MODELS_FILE", "The model catalogue.")
    called_from: Path = knob(
        Path(), "OMNI_CALLED_FROM", "Where `./omni` was called (it sets this): relative paths in arguments start here."
    )
    log_level: str = knob("INFO", "OMNI_LOG_LEVEL", "`DEBUG`, `INFO`, `WARNING` or `ERROR`.")
    slow_request_s: float = knob(
        30.0, "OMNI_SLOW_REQUEST_S", "A request that took longer is logged as a warning.", unit="s", least=0
    )
    sentry_dsn: str = knob("", "SENTRY_DSN", "Report errors to this Sentry project (extra `sentry`).")
    otlp_endpoint: str = knob(
        "", "OTEL_EXPORTER_OTLP_ENDPOINT", "Send traces and metrics to this OpenTelemetry collector (extra `otel`)."
    )
    metrics_push_ms: float = knob(
        30_000.0, "OTEL_METRIC_EXPORT_INTERVAL", "How often metrics are sent there.", unit="ms", least=100
    )
