"""What a caller asks of the cache: the `Cache-Control` header of its request (RFC 9111)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheControl:
    max_age_s: int | None = None
    """An answer may be this old; any age when None. A caller that says so asks for the cache at any temperature."""
    no_cache: bool = False
    """Ask the model, and keep its answer."""
    no_store: bool = False
    """Ask the model, and keep nothing."""

    @classmethod
    def parse(cls, header: str) -> "CacheControl":
        """What is unknown or malformed in the header is left aside."""
        directives = dict(part.strip().partition("=")[::2] for part in header.lower().split(","))
        age = directives.get("max-age", "").strip('"')
        return cls(
            max_age_s=int(age[:9]) if age.isascii() and age.isdigit() else None,
            no_cache="no-cache" in directives,
            no_store="no-store" in directives,
        )

    def wants_cache(self, temperature: float | None) -> bool:
        """Whether the answer may come from the cache, or go into it."""
        return not self.no_store and (temperature == 0 or bool(self.max_age_s))

    def takes(self, age_s: float) -> bool:
        return not self.no_cache and (self.max_age_s is None or age_s <= self.max_age_s)
