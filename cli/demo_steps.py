"""The steps of the demo. Each asks a running platform for real, checks the answer and returns what it measured."""

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass

from cli import jobs, keys, models, talk, webhooks
from cli.answers import Completion, Job, Key, NewKey, Page, WebhookDelivery, WebhookSecret
from cli.client import INFERENCE_S, Answer, Client
from cli.demo_batch import batch
from cli.errors import CliError, Refused
from cli.job_views import result_text, told
from cli.narration import Narrator, Outcome
from cli.progress import follow_job
from cli.receiver import Received, Receiver, receiving

REQUESTS_PER_MINUTE = 3
REVOKED_WITHIN_S = 5.0
POLL_S = 0.1
JOB_WITHIN_S = 120.0
LOOK_S = 5.0
"""How long a webhook is waited for before the platform is asked whether it was sent."""
LIMIT_HEADERS = ("retry-after", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "ratelimit")


@dataclass(frozen=True, slots=True)
class Stage:
    client: Client
    model: str
    narrator: Narrator
    sleep: Callable[[float], None] = time.sleep


def perform(stage: Stage, number: int, title: str, step: Callable[[Stage], str]) -> Outcome:
    """One step; a failure is told and the next step goes on."""
    stage.narrator.begin(number, title)
    try:
        return Outcome(title, worked=True, measured=step(stage))
    except CliError as error:
        stage.narrator.failed(error.format_message())
        return Outcome(title, worked=False, measured=error.message)


def chat(stage: Stage) -> str:
    question = "What is the capital of France? Answer in one sentence."
    stage.narrator.asked(f"POST {talk.PATH}  {question}")
    answer = stage.client.post(
        talk.PATH,
        {"model": stage.model, "max_tokens": 48, "messages": [{"role": "user", "content": question}]},
        timeout_s=INFERENCE_S,
    )
    stage.narrator.came(_status(answer))
    completion = answer.as_type(Completion)
    stage.narrator.quote(_some_text(completion.choices[0].message.content if completion.choices else None))
    out = f", {completion.usage.completion_tokens} tokens" if completion.usage else ""
    return f"{answer.elapsed_s:.2f} s{out}"


def stream(stage: Stage) -> str:
    question = "Tell a short story about a lighthouse."
    stage.narrator.asked(f"POST {talk.PATH}  stream, {question}")
    style = talk.Style(stage.model, max_tokens=80)
    with talk.asking(stage.client, style, [{"role": "user", "content": question}]) as spoken:
        stage.narrator.came(f"200 {spoken.content_type}")
        for piece in spoken:
            stage.narrator.piece(piece, first=spoken.text == piece)
    stage.narrator.end_of_pieces()
    _some_text(spoken.text)
    return spoken.speed


def job(stage: Stage) -> str:
    prompt = "Write one sentence about patience."
    stage.narrator.asked(f"POST {jobs.PATH}  {jobs.CHAT}, {prompt}")
    messages = [{"role": "user", "content": prompt}]
    wanted = {"task": jobs.CHAT, "model": stage.model, "input": {"messages": messages, "max_tokens": 48}}
    answer = stage.client.post(jobs.PATH, wanted)
    submitted = answer.as_type(Job)
    stage.narrator.came(f"{_status(answer)}: {submitted.id}")
    done, took_s = _watched(stage, jobs.path(submitted.id))
    if done.state != "succeeded":
        raise CliError(f"The job is {done.state}: {done.error.message if done.error else 'no reason was given'}")
    stage.narrator.quote(_some_text(result_text(done.result)))
    return f"submitted in {answer.elapsed_s * 1000:.0f} ms, {done.state} {took_s:.2f} s later"


def _watched(stage: Stage, path: str) -> tuple[Job, float]:
    """The job at its end, and the seconds until then; CliError when it takes too long for a demo."""
    stage.narrator.asked(f"GET {path}  until it is final")
    began = stage.client.monotonic()
    seen: list[str] = []

    def show(job: Job) -> None:
        elapsed_s = stage.client.monotonic() - began
        if told(job) not in seen:
            seen.append(told(job))
            stage.narrator.came(f"{told(job)}, after {elapsed_s:.2f} s")
        if elapsed_s > JOB_WITHIN_S and not job.is_final:
            raise CliError(f"The job is still {told(job)} after {JOB_WITHIN_S:g} s.")

    done = follow_job(stage.client, path, show, stage.sleep).as_type(Job)
    return done, stage.client.monotonic() - began


def webhook(stage: Stage) -> str:
    stage.narrator.asked(f"POST {webhooks.SECRETS}  a secret to sign with")
    answer = stage.client.post(webhooks.SECRETS, {})
    secret = answer.as_type(WebhookSecret)
    stage.narrator.came(f"{_status(answer)}: {secret.id} (the secret is shown once)")
    try:
        with receiving((secret.secret,)) as receiver:
            return _told_of_a_job(stage, receiver)
    finally:
        stage.client.delete(f"{webhooks.SECRETS}/{secret.id}")


def _told_of_a_job(stage: Stage, receiver: Receiver) -> str:
    stage.narrator.asked(f"POST {jobs.PATH}  {jobs.CHAT}, with the webhook {receiver.url}")
    messages = [{"role": "user", "content": "Say hello."}]
    wanted = {"task": jobs.CHAT, "model": stage.model, "input": {"messages": messages, "max_tokens": 16}}
    try:
        answer = stage.client.post(jobs.PATH, wanted | {"webhook": {"url": receiver.url}})
    except Refused as refused:
        if refused.status != 400:
            raise
        stage.narrator.came(f"400: {refused.message}")
        return "not tried: a platform in the cloud cannot reach a receiver on this machine, and refuses to"
    stage.narrator.came(f"{_status(answer)}: {answer.as_type(Job).id}")
    began = stage.client.monotonic()
    received = _first_message(stage, receiver, answer.as_type(Job).id)
    if received is None:
        return "not tried: the platform cannot reach a receiver on this machine"
    came_s = stage.client.monotonic() - began
    if not received.is_genuine or received.payload is None:
        raise CliError("A webhook came whose signature is wrong.")
    kind = received.payload.type
    stage.narrator.came(f"{kind} at the receiver after {came_s:.2f} s, webhook-id {received.id}, signature good")
    return f"{kind} arrived {came_s:.2f} s after the job was submitted, signature good"


def _first_message(stage: Stage, receiver: Receiver, job_id: str) -> Received | None:
    """None when the platform has tried and reached nobody, as one in containers does not reach this machine."""
    for _ in range(int(JOB_WITHIN_S / LOOK_S)):
        try:
            return receiver.messages.get(timeout=LOOK_S)
        except queue.Empty:
            sent = stage.client.get(webhooks.DELIVERIES, {"job": job_id}).as_type(Page[WebhookDelivery]).data
            tried = [attempt for each in sent for attempt in each.attempts]
            if tried and not any(attempt.status for attempt in tried):
                stage.narrator.came(f"no answer from the receiver, says the platform: {tried[-1].reason}")
                return None
    raise CliError(f"No webhook came within {JOB_WITHIN_S:g} s.")


def limit(stage: Stage) -> str:
    key = _limited_key(stage)
    with stage.client.with_key(key.key) as guest:
        try:
            asked, refused = _ask_until_refused(stage, guest)
        finally:
            _revoke(stage, key)
        revoked_s = _wait_until_invalid(stage, guest)
    again = f"Retry-After {refused.retry_after_s:g} s" if refused.retry_after_s is not None else "no Retry-After"
    return f"429 at request {asked} ({again}); the revoked key refused after {revoked_s:.1f} s"


def _limited_key(stage: Stage) -> NewKey:
    stage.narrator.asked(f"POST {keys.PATH}  a key for {REQUESTS_PER_MINUTE} requests a minute")
    wanted = {"name": "demo", "scopes": ["inference"], "requests_per_minute": REQUESTS_PER_MINUTE}
    answer = stage.client.post(keys.PATH, wanted)
    key = answer.as_type(NewKey)
    stage.narrator.came(f"{_status(answer)}: omni_{key.id}_… (the secret is shown once)")
    return key


def _ask_until_refused(stage: Stage, guest: Client) -> tuple[int, Refused]:
    """Which request met the limit, and how it was refused."""
    stage.narrator.asked(f"GET {models.PATH}  with the new key, again and again")
    for number in range(1, REQUESTS_PER_MINUTE + 2):
        try:
            stage.narrator.came(f"{_status(guest.get(models.PATH))}, request {number}")
        except Refused as refused:
            stage.narrator.came(f"{refused.status}, request {number}: {refused.message}")
            stage.narrator.quote(_limit_headers(refused))
            if refused.status != 429 or number <= REQUESTS_PER_MINUTE:
                raise
            return number, refused
    raise CliError(f"More than {REQUESTS_PER_MINUTE} requests came through in a minute.")


def _revoke(stage: Stage, key: Key) -> None:
    stage.narrator.asked(f"DELETE {keys.PATH}/{key.id}")
    stage.narrator.came(f"{_status(stage.client.delete(f'{keys.PATH}/{key.id}'))}: revoked")


def _wait_until_invalid(stage: Stage, guest: Client) -> float:
    """Seconds until the key was refused as invalid; CliError when that took longer than promised."""
    stage.narrator.asked(f"GET {models.PATH}  with the revoked key, until it is refused as invalid")
    began = stage.client.monotonic()
    while (elapsed_s := stage.client.monotonic() - began) <= REVOKED_WITHIN_S:
        try:
            guest.get(models.PATH)
        except Refused as refused:
            if refused.status == 401:
                stage.narrator.came(f"401 after {elapsed_s:.1f} s: {refused.message}")
                return elapsed_s
        stage.sleep(POLL_S)
    raise CliError(f"The revoked key still counts as valid after {REVOKED_WITHIN_S:g} s.")


def _limit_headers(refused: Refused) -> str:
    return "\n".join(f"{name}: {refused.headers[name]}" for name in LIMIT_HEADERS if name in refused.headers)


def _status(answer: Answer) -> str:
    return f"{answer.status} in {answer.elapsed_s * 1000:,.0f} ms"


def _some_text(text: str | None) -> str:
    if not text or not text.strip():
        raise CliError("The answer holds no text.")
    return text


STEPS: tuple[tuple[str, Callable[[Stage], str]], ...] = (
    ("Chat", chat),
    ("Stream", stream),
    ("Job", job),
    ("Batch", batch),
    ("Webhook", webhook),
    ("Limit", limit),
)
