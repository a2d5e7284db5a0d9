"""Optional reports: traces and metrics by OpenTelemetry (extra `otel`), errors by Sentry (extra `sentry`).

Both are off until their setting names a destination. Asked for but not installed, each is logged once with the
extra to install, and the process starts all the same.
"""

import importlib
import logging
from typing import TYPE_CHECKING

from shared.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer
    from sentry_sdk.types import Event, Hint

log = logging.getLogger("omni.reporting")


def start_errors(settings: Settings, service: str) -> None:
    """Reports what is logged as an error to Sentry. Request bodies, headers and keys are not sent."""
    if not settings.sentry_dsn or not _installed("sentry_sdk", "sentry", "errors are not reported"):
        return
    import sentry_sdk

    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        server_name=service,
        environment=settings.environment,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        before_send=_without_quotes,
    )


def _without_quotes(event: "Event", _: "Hint") -> "Event":
    """What an error says may quote what a caller sent; where it comes from, and its kind, does not."""
    for each in event.get("exception", {}).get("values", ()):
        each["value"] = ""
    return event


def tracer(settings: Settings, service: str) -> "Tracer | None":
    """A tracer that sends spans by OTLP over HTTP, or None when traces are not asked for or not possible."""
    if not settings.otlp_endpoint or not _installed("opentelemetry.sdk", "otel", "no traces are sent"):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"omni-{service}"}))
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider.get_tracer("omni")


def start_metrics(settings: Settings, service: str, *, forks: bool) -> None:
    """Pushes metrics by OTLP over HTTP. `forks`: this process's server does, and only its children serve."""
    if settings.otlp_endpoint and _installed("opentelemetry.sdk", "otel", "no metrics are pushed"):
        from shared import metrics_push

        metrics_push.start(service, settings.otlp_endpoint, settings.metrics_push_ms / 1000, forks=forks)


def _installed(module: str, extra: str, lost: str) -> bool:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        log.warning(lost, extra={"fields": {"missing": module, "install": f"pip install omni[{extra}]"}})
        return False
    return True
