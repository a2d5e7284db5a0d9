from dataclasses import dataclass

from shared.settings.knob import knob


@dataclass(frozen=True)
class Requests:
    """Bounds on what a caller sends, and patience with callers and upstreams."""

    max_body_bytes: int = knob(
        20 * 1024 * 1024,
        "OMNI_MAX_BODY_BYTES",
        "Largest request body; more is answered with 413.",
        unit="bytes",
        least=1,
    )
    max_bodies_bytes: int = knob(
        128 * 1024 * 1024,
        "OMNI_MAX_BODIES_BYTES",
        "Request bodies that are held at the same time; a tenant may hold half. More is answered with 503 or 429.",
        unit="bytes",
        least=1024 * 1024,
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
    min_transfer_rate: int = knob(
        1024,
        "OMNI_MIN_TRANSFER_RATE",
        "The slowest that a caller may send a file (over 10 s in which it is waited for; then 408), or read one (over "
        "30 s; then the connection is closed). 0: any rate.",
        unit="bytes/s",
        least=0,
    )
    route_calls: int = knob(
        32,
        "OMNI_ROUTE_CALLS",
        "Calls of route functions that one tenant may have under way from an instance, half of them moving files; an "
        "eighth more is kept for other tenants.",
        least=1,
    )
    upstream_calls: int = knob(
        1000,
        "OMNI_UPSTREAM_CALLS",
        "Requests that one tenant may have under way at an upstream from an instance; an eighth more is kept for other "
        "tenants. At the worker it is twice its slots.",
        least=1,
    )
    unread_timeout_s: float = knob(
        30.0,
        "OMNI_UNREAD_TIMEOUT_S",
        "How long a caller may read nothing of its answer; after that the connection is closed.",
        unit="s",
        least=0.1,
    )
    max_unread_bytes: int = knob(
        64 * 1024 * 1024,
        "OMNI_MAX_UNREAD_BYTES",
        "Answers that wait for slow callers, all connections together; of more, the slowest is closed.",
        unit="bytes",
        least=1024,
    )
    connections_per_address: int = knob(
        2048,
        "OMNI_CONNECTIONS_PER_ADDRESS",
        "Connections that an address may hold to an instance, where no proxy stands in front, and no more than half of "
        "the files that the process may open; 0: any number.",
        least=0,
    )
    cors_origins: str = knob(
        "",
        "OMNI_CORS_ORIGINS",
        "Web pages whose scripts may call the API: origins separated by commas, `*` for all; empty: none.",
    )
    keep_alive_s: float = knob(
        10.0,
        "OMNI_KEEP_ALIVE_S",
        "A stream silent for this long gets a comment, and another after each such silence.",
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
    max_answer_bytes: int = knob(
        32 * 1024 * 1024,
        "OMNI_MAX_ANSWER_BYTES",
        "Largest whole answer of a model's server; more is answered with 502. Streams and files are not held.",
        unit="bytes",
        least=1024,
    )
    max_event_bytes: int = knob(
        16 * 1024 * 1024,
        "OMNI_MAX_EVENT_BYTES",
        "Largest event of a stream, such as a picture in a delta; a larger one ends the stream with an error.",
        unit="bytes",
        least=1024,
    )
    max_output_tokens: int = knob(
        1024, "OMNI_MAX_OUTPUT_TOKENS", "Output limit of a request that names none.", unit="tokens", least=1
    )
