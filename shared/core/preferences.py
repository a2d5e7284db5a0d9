"""What a caller would rather have: the `Prefer` header (RFC 7240). What is not understood is not there."""

import re
from dataclasses import dataclass

LONGEST_WAIT_S = 60
PREFERENCE = re.compile(r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?""")
SEPARATOR = re.compile(r""",(?=(?:[^"]*"[^"]*")*[^"]*$)""")
MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Preferences:
    respond_async: bool = False
    """The caller would rather have a job than wait for the answer."""
    wait_s: int | None = None
    """How long it would wait for the answer all the same, at most LONGEST_WAIT_S."""

    @property
    def applied(self) -> str:
        """The answer's `Preference-Applied`."""
        parts = [*(["respond-async"] if self.respond_async else ()), *([f"wait={self.wait_s}"] if self.wait_s else ())]
        return ", ".join(parts)


def parse(header: str) -> Preferences:
    """Of all lines of the header, joined by commas. Of a preference that stands twice the first one counts."""
    found: dict[str, str] = {}
    for part in SEPARATOR.split(header) if len(header) <= MOST_CHARACTERS else ():
        if named := PREFERENCE.match(part):
            found.setdefault(named[1].lower(), (named[2] or "").strip('"'))
    wait = found.get("wait", "")
    seconds = min(int(wait), LONGEST_WAIT_S) if re.fullmatch(r"[0-9]{1,9}", wait) else None
    return Preferences("respond-async" in found, seconds)
