"""omni webhooks: what jobs' ends are told to, and with which secrets."""

import queue
import sys
from urllib.parse import quote

import click
import msgspec

from cli.answers import Page, WebhookDelivery, WebhookSecret
from cli.client import Answer, Client
from cli.connection import connected
from cli.output import minute, printable, show_table, shown_by
from cli.paging import page_query, paged, tell_of_more
from cli.receiver import Received, receiving

PATH = "/api/v1/webhooks"
SECRETS, DELIVERIES = f"{PATH}/secrets", f"{PATH}/deliveries"
OUTCOMES = ("pending", "delivered", "failed", "disabled")
POLL_S = 0.5
"""How soon Ctrl-C is noticed."""


def show_new(answer: Answer) -> None:
    secret = answer.as_type(WebhookSecret)
    click.echo(f"Secret {secret.id}. Keep it now. It is not shown again:", err=True)
    click.echo(secret.secret)


def show_secrets(answer: Answer) -> None:
    page = answer.as_type(Page[WebhookSecret])
    show_table(("ID", "CREATED", "SIGNS UNTIL"), [_secret_row(each) for each in page.data])


def show_deliveries(answer: Answer) -> None:
    page = answer.as_type(Page[WebhookDelivery])
    show_table(("ID", "STATE", "EVENT", "JOB", "TRIED", "LAST", "NEXT"), [_row(each) for each in page.data])
    tell_of_more(page)


def show_redelivered(answer: Answer) -> None:
    click.echo(f"{answer.as_type(WebhookDelivery).id} is sent again.")


@click.group()
def command() -> None:
    """Manages signing secrets and the log of deliveries, and runs a receiver for tests.

    \b
    Example:
      omni webhooks listen
    """


@command.group()
def secret() -> None:
    """Creates, lists and deletes the secrets that sign webhooks. Every valid secret signs each delivery.

    \b
    Example:
      omni webhooks secret create
    """


@secret.command()
@shown_by(show_new)
@connected
def create(client: Client) -> Answer:
    """Creates one more secret and prints it once.

    \b
    Example:
      omni webhooks secret create
    """
    return client.post(SECRETS, {})


@secret.command()
@click.option(
    "--overlap",
    type=click.IntRange(0, 720),
    default=24,
    show_default=True,
    help="Hours for which the other secrets still sign.",
)
@shown_by(show_new)
@connected
def rotate(client: Client, overlap: int) -> Answer:
    """Creates a secret that replaces the others after the overlap.

    \b
    Example:
      omni webhooks secret rotate --overlap 48
    """
    return client.post(SECRETS, {"expire_others_after_s": overlap * 3600})


@secret.command("list")
@shown_by(show_secrets)
@connected
def list_(client: Client) -> Answer:
    """Lists the ids of the secrets that sign.

    \b
    Example:
      omni webhooks secret list
    """
    return client.get(SECRETS)


@secret.command()
@click.argument("secret_id", metavar="ID")
@connected
def delete(client: Client, secret_id: str) -> None:
    """Deletes a secret at once, for example after a leak.

    \b
    Example:
      omni webhooks secret delete whs_28408f3eeceafa68
    """
    client.delete(f"{SECRETS}/{quote(secret_id, safe='')}")
    click.echo(f"{secret_id} is deleted.")


@command.command()
@click.option("--job", metavar="ID", help="Only deliveries of this job.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only deliveries with this outcome.")
@paged
@shown_by(show_deliveries)
@connected
def deliveries(client: Client, job: str | None, outcome: str | None, limit: int, after: str | None) -> Answer:
    """Lists what was sent, newest first.

    \b
    Example:
      omni webhooks deliveries --outcome failed
    """
    return client.get(DELIVERIES, page_query(limit, after, {"job": job, "outcome": outcome}))


@command.command()
@click.argument("delivery_id", metavar="ID")
@shown_by(show_redelivered)
@connected
def redeliver(client: Client, delivery_id: str) -> Answer:
    """Sends a delivery once more, under the same id, also to an address that was disabled.

    \b
    Example:
      omni webhooks redeliver msg_5b1f
    """
    return client.post(f"{DELIVERIES}/{quote(delivery_id, safe='')}/redeliver", {})


@command.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on. Default: any free one.")
@click.option("--secret", "texts", multiple=True, help="Secret to check signatures with. Default: a temporary one.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many messages.")
@connected
def listen(client: Client, port: int, texts: tuple[str, ...], count: int | None) -> None:
    """Receives webhooks on this machine, checks their signatures and prints them. Ctrl-C ends it.

    \b
    Example:
      omni webhooks listen --port 9000
      omni jobs submit --prompt "Hello" --webhook http://127.0.0.1:9000/
    """
    made = None if texts else client.post(SECRETS, {}).as_type(WebhookSecret)
    try:
        with receiving((made.secret,) if made else texts, port) as receiver:
            click.echo(f"Listening at {receiver.url}", err=True)
            _print_each(receiver.messages, count)
    except KeyboardInterrupt:
        click.echo("", err=True)
    finally:
        if made:
            client.delete(f"{SECRETS}/{made.id}")


def _print_each(messages: "queue.SimpleQueue[Received]", count: int | None) -> None:
    printed = 0
    while printed != count:
        try:
            received = messages.get(timeout=POLL_S)
        except queue.Empty:
            continue
        _print(received)
        printed += 1


def _print(received: Received) -> None:
    """Where it comes from on standard error, the message on standard output."""
    mark = "✓ signature is good" if received.is_genuine else "✗ signature is wrong"
    click.echo(f"{mark}: {printable(received.id)}", err=True)
    if received.is_genuine:
        body = received.body
        click.echo(msgspec.json.format(body, indent=2) if received.payload and sys.stdout.isatty() else body)


def _secret_row(secret: WebhookSecret) -> tuple[str, ...]:
    return secret.id, minute(secret.created_at), minute(secret.expires_at) if secret.expires_at else "-"


def _row(delivery: WebhookDelivery) -> tuple[str, ...]:
    last = delivery.attempts[-1] if delivery.attempts else None
    answer = (str(last.status) if last.status else last.reason) if last else "-"
    upcoming = minute(delivery.next_attempt_at) if delivery.next_attempt_at else "-"
    return delivery.id, delivery.state, delivery.event, delivery.job_id, str(len(delivery.attempts)), answer, upcoming
