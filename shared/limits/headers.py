"""What an answer's headers tell of the limits: OpenAI's names and formats, and the IETF's `RateLimit` fields.

They go with every answer, so they are made as the bytes that are sent.
"""

from collections.abc import Sequence

from shared.core.allowance import Allowance
from shared.core.quota import Quota
from shared.web.asgi import RawHeaders

REQUESTS = (b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests")
TOKENS = (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")


def headers(quotas: Sequence[Quota], now: float) -> RawHeaders:
    """None when there is no limit."""
    states: list[str] = []
    found = _openai(REQUESTS, [each for quota in quotas for each in quota.requests], now, states)
    found += _openai(TOKENS, [quota.tokens for quota in quotas if quota.tokens], now, states)
    if policy := ", ".join([quota.policy for quota in quotas]):
        found.append((b"ratelimit-policy", policy.encode()))
    if states:
        found.append((b"ratelimit", ", ".join(states).encode()))
    return found


def _openai(
    names: tuple[bytes, bytes, bytes], allowances: Sequence[Allowance], now: float, states: list[str]
) -> RawHeaders:
    """OpenAI's headers tell of the tightest of several limits on the same thing, the IETF's of each: see `states`."""
    if not allowances:
        return []
    least, tightest, until = -1, allowances[0], 0.0
    for allowance in allowances:
        remaining, reset_s = allowance.standing(now)
        states.append(f'"{allowance.label}";r={remaining};t={round(reset_s)}')
        if remaining < least or least < 0:
            least, tightest, until = remaining, allowance, reset_s
    limit_name, remaining_name, reset_name = names
    amount = tightest.limit.amount
    return [(limit_name, b"%d" % amount), (remaining_name, b"%d" % least), (reset_name, _duration(until).encode())]


def _duration(seconds: float) -> str:
    """`120ms`, `7.5s`, `1m0s`: the format of OpenAI's reset headers."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    tenths = round(seconds * 10)
    if tenths < 600:
        return f"{tenths / 10:g}s"
    return f"{tenths // 600}m{tenths % 600 // 10}s"
