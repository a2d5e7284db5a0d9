"""Rate limits as seen by one process, and the headers that tell a caller where it stands."""

from shared import telemetry
from shared.core.errors import RateLimited
from shared.core.keys import Caller
from shared.core.limits import UNLIMITED, WINDOW_S, Grant
from shared.ports.limiter import Limiter


def admit(limiter: Limiter, caller: Caller) -> Grant:
    """Counts one request against the caller's key. A refusal is a Grant with `granted == 0`."""
    if caller.requests_per_minute == 0:
        return UNLIMITED
    grant = limiter.lease(f"key:{caller.key_id}", caller.requests_per_minute, 1)
    telemetry.LIMIT_DECISIONS.labels(caller.tier, "admitted" if grant.granted else "refused").inc()
    return grant


def refusal(grant: Grant) -> RateLimited:
    """The error for a refused request."""
    return RateLimited(
        f"The limit of {grant.limit} requests per minute for this key is reached. "
        f"Try again in {grant.retry_after_s:.1f} s.",
        retry_after_s=grant.retry_after_s,
    )


def limit_headers(grant: Grant) -> list[tuple[str, str]]:
    """OpenAI's names and formats, and the IETF's `RateLimit` fields. None when there is no limit."""
    if not grant.limit:
        return []
    return [
        ("x-ratelimit-limit-requests", str(grant.limit)),
        ("x-ratelimit-remaining-requests", str(grant.remaining)),
        ("x-ratelimit-reset-requests", _duration(grant.reset_s)),
        ("ratelimit-policy", f'"requests";q={grant.limit};w={WINDOW_S:.0f}'),
        ("ratelimit", f'"requests";r={grant.remaining};t={grant.reset_s:.0f}'),
    ]


def _duration(seconds: float) -> str:
    """`120ms`, `7.5s`, `1m0s`: the format of OpenAI's reset headers."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}m{rest:.0f}s" if minutes else f"{rest:g}s"
