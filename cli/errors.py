"""Every way in which a command fails, as one tree. Click prints the message and exits with 1.

CliError
    NoPlatform    nothing answers at the address
    Refused       the platform answered with an error
    BrokenOff     an answer stopped in the middle
"""

from collections.abc import Mapping

import click

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended, as shells have it."""

NEXT_STEPS = {
    "invalid_api_key": "Give a valid key with --api-key or OMNI_API_KEY.",
    "model_not_found": "'omni models' lists the models that this key may use.",
}
"""What to type after a refusal, by its code."""

START = "Start one with './omni up'"


class CliError(click.ClickException):
    """A command failed; the message is one sentence for the person at the terminal."""


class NoPlatform(CliError):
    """Nothing answers at the address."""


class Refused(CliError):
    """The platform's own error, as the API told it."""

    def __init__(
        self, message: str, *, status: int, code: str, request_id: str = "", headers: Mapping[str, str]
    ) -> None:
        self.status = status
        """The HTTP status; 0 when the error came inside a stream that had begun well."""
        self.code = code
        self.request_id = request_id
        self.headers = headers
        """Of the answer, by name in any case."""
        super().__init__(message)

    @property
    def retry_after_s(self) -> float | None:
        """When asking again makes sense; None when the platform did not say."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdecimal() else None

    def format_message(self) -> str:
        known = (
            str(self.status or ""),
            self.code,
            f"retry after {self.retry_after_s:g} s" if self.retry_after_s is not None else "",
            f"request id {self.request_id}" if self.request_id else "",
        )
        next_step = f"\n  {NEXT_STEPS[self.code]}" if self.code in NEXT_STEPS else ""
        return f"{self.message}\n  ({', '.join(part for part in known if part)}){next_step}"


class BrokenOff(CliError):
    """An answer stopped in the middle."""
