"""omni chat: one question, or a conversation."""

import math
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import click
import msgspec

from cli.client import Client
from cli.connection import connected
from cli.errors import INTERRUPTED, CliError
from cli.models import first_model
from cli.output import printable
from cli.places import named_by_caller
from cli.talk import Message, Spoken, Style, asking


def finite(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """A number that JSON knows: NaN is within every range."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("it must be a number.")
    return value


def read_schema(_context: click.Context, _option: click.Parameter, file: str | None) -> dict[str, Any] | None:
    """The JSON Schema in the option's file."""
    if file is None:
        return None
    try:
        return msgspec.json.decode(named_by_caller(file).read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{file} holds no JSON Schema: {error}") from None


@click.command()
@click.argument("message", required=False)
@click.option("--model", metavar="ID", help="Model to ask. Default: the first of the catalogue that chats.")
@click.option("--system", metavar="TEXT", help="How the model should behave.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer, in tokens.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, 2),
    callback=finite,
    help="0 is the most likely answer, 2 the most daring.",
)
@click.option(
    "--json", "schema", metavar="FILE", callback=read_schema, help="Answer in JSON that satisfies FILE's JSON Schema."
)
@click.option("--stats", is_flag=True, help="Say on standard error how fast the answer came.")
@connected
def command(
    client: Client,
    *,
    message: str | None,
    model: str | None,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
    schema: dict[str, Any] | None,
    stats: bool,
) -> None:
    """Asks a model and prints the answer as it comes. Without a message it reads standard input, or, on a terminal,
    holds a conversation. Ctrl-C stops an answer, Ctrl-D ends a conversation.

    \b
    Examples:
      omni chat "What is a lease?" --stats
      git diff | omni chat --system "Write a commit message."
      omni chat
    """
    on_terminal = message is None and sys.stdin.isatty() and sys.stdout.isatty()
    question = "" if on_terminal else _given(message)
    style = Style(model or first_model(client), max_tokens, temperature, schema)
    conversation = Conversation(client, style, stats, [{"role": "system", "content": system}] if system else [])
    if on_terminal:
        conversation.hold()
    elif not conversation.ask(question):
        raise click.exceptions.Exit(INTERRUPTED)


def _given(message: str | None) -> str:
    """The message of the command line, or else of standard input."""
    text = message if message is not None else sys.stdin.buffer.read().decode(errors="replace")
    if not text.strip():
        raise click.UsageError("There is no message: give one, or send one on standard input.")
    return text


@dataclass(slots=True)
class Conversation:
    client: Client
    style: Style
    stats: bool
    history: list[Message] = field(default_factory=list)

    def hold(self) -> None:
        """Questions and answers until Ctrl-D. An error ends an answer, not the conversation."""
        with suppress(ImportError):
            import readline  # noqa: F401  (gives input() its line editing and its history)
        click.echo(f"Talking with {self.style.model}. Ctrl-C stops an answer, Ctrl-D ends.", err=True)
        while (question := _typed()) is not None:
            try:
                if question.strip():
                    self.ask(question)
            except CliError as error:
                error.show()

    def ask(self, question: str) -> bool:
        """Prints the answer as it comes. False when Ctrl-C stopped it; what had come by then is remembered."""
        messages = [*self.history, {"role": "user", "content": question}]
        finished = False
        try:
            with asking(self.client, self.style, messages) as spoken:
                finished = _print(spoken)
        except KeyboardInterrupt:  # before the answer began
            return False
        self.history = [*messages, {"role": "assistant", "content": spoken.text}]
        if self.stats:
            click.echo(f"{self.style.model}: {spoken.speed}", err=True)
        return finished


def _typed() -> str | None:
    """The next line typed; empty after Ctrl-C, None after Ctrl-D."""
    try:
        return input("> ")
    except KeyboardInterrupt:
        click.echo()
        return ""
    except EOFError:
        click.echo()
        return None


def _print(spoken: Spoken) -> bool:
    """Writes the text as it comes; False when Ctrl-C cut it short."""
    show = printable if sys.stdout.isatty() else str
    try:
        for piece in spoken:
            click.echo(show(piece), nl=False)
    except KeyboardInterrupt:
        return False
    finally:
        if not spoken.text.endswith("\n"):
            click.echo()
    return True
