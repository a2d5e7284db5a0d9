from dataclasses import dataclass

from shared.settings.knob import knob


@dataclass(frozen=True)
class Limits:
    """Keys, limits, budgets and kept answers."""

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
        "Refused requests without a valid key that an address may send to an instance; more are answered with 429.",
        least=1,
    )
    key_cache_s: float = knob(
        4.0,
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
