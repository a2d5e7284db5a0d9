"""`omni bench worker`: what the worker and the gateway take away from the tokens a second of the bare engine.

The engine is asked directly, in a process of its own; through the worker, which has an engine of the same kind and
options; and through the gateway before that worker. All three stream completions of the same length from the worker's
default model, one and eight at a time, in alternating rounds and on all cores. No prompt is asked twice, so that no
cache answers, neither the gateway's nor the engine's. A ratio is taken within a round; figures are medians over the
rounds.
"""

import argparse
import itertools
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import omni, results
from bench.machine import describe
from bench.processes import Program, Server, running
from bench.start import until_ready
from bench.streams import Source, stream
from bench.surroundings import Surroundings
from bench.worker_report import AT_ONCE, ENGINE, GATEWAY, WORKER, Plan, Rates, Report, text
from shared.core.keys import USER_SCOPES, Caller, Tier
from shared.keys import caller_token
from shared.keys.caller_keys import PRIVATE, signer_of
from shared.keys.caller_token import HEADER, Call
from shared.settings import Settings

CHAT = "/v1/chat/completions"
FIRST_DOORS = 1000
"""Four digits from the start, so that all prompts are equally long."""
QUICK = Plan(rounds=1, tokens=8)
CALLER = Caller("bench", "bench", Tier.PREMIUM, USER_SCOPES, 0)


def run(args: list[str]) -> int:
    options = _options(args)
    report = compare(QUICK if options.quick else Plan(options.rounds, options.tokens))
    print(text(report))
    results.keep("worker", report, options)
    return 0


def compare(plan: Plan) -> Report:
    """Runs all rounds; BenchError when one of the three does not work."""
    machine = describe()
    with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder:
        environment = omni.environment(Path(folder) / "state")
        model = Settings.load(environment).worker_model
        with _started(environment, Path(folder)) as (sources, servers):
            doors = itertools.count(FIRST_DOORS)
            for source in sources:
                stream(source, _bodies(model, max(AT_ONCE), plan.tokens, doors))  # to warm up
            surroundings = Surroundings(*servers)
            rates = _rounds(sources, model, plan, doors)
            others_share = surroundings.others_share()
    return Report.over(machine, model, plan, rates, others_share)


def _rounds(sources: list[Source], model: str, plan: Plan, doors: Iterator[int]) -> Rates:
    rates: Rates = {at_once: {source.name: [] for source in sources} for at_once in AT_ONCE}
    for number in range(1, plan.rounds + 1):
        print(f"round {number} of {plan.rounds}", file=sys.stderr, flush=True)
        for at_once in AT_ONCE:
            for source in sources:
                streamed = stream(source, _bodies(model, at_once, plan.tokens, doors))
                rates[at_once][source.name].append(streamed.tokens_per_s)
    return rates


@contextmanager
def _started(environment: dict[str, str], scratch: Path) -> Iterator[tuple[list[Source], list[Server]]]:
    """The engine, the worker with its model loaded, and the gateway before it."""
    worker = omni.worker(environment)
    worker_url = f"http://127.0.0.1:{worker.port}"
    gateway = omni.function("gateway", {**environment, "OMNI_WORKER_URL": worker_url}, "--asgi")
    with (
        running(omni.bare_engine(environment), scratch / "engine.log") as engine,
        running(worker, scratch / "worker.log") as worker_server,
        running(gateway, scratch / "gateway.log") as gateway_server,
    ):
        until_ready(worker_server, "/ready")
        until_ready(gateway_server, "/ready")
        sources = [
            _engine_source(engine),
            _worker_source(worker, environment),
            _gateway_source(gateway, environment),
        ]
        yield sources, [engine, worker_server, gateway_server]


def _engine_source(engine: Server) -> Source:
    port = engine.port  # with its address the headers that it asks for are printed
    headers = dict(re.findall(r"^([a-z-]+): (Bearer \S+)$", engine.log.read_text(), re.MULTILINE))
    return Source(ENGINE, port, CHAT, lambda: headers)


def _worker_source(worker: Program, environment: dict[str, str]) -> Source:
    signer = signer_of(environment[PRIVATE])
    call = Call(caller_token.WORKER, "POST", CHAT)

    def signed() -> dict[str, str]:
        return {HEADER: signer.sign(CALLER, call, time.time())}

    return Source(WORKER, worker.port, "/internal" + CHAT, signed)


def _gateway_source(gateway: Program, environment: dict[str, str]) -> Source:
    headers = {"authorization": f"Bearer {environment['API_KEYS']}"}
    return Source(GATEWAY, gateway.port, CHAT, lambda: headers)


def _bodies(model: str, count: int, tokens: int, doors: Iterator[int]) -> list[bytes]:
    """One request a stream, each with exactly so many tokens to answer with and a prompt that no one had before."""
    return [_body(model, tokens, next(doors)) for _ in range(count)]


def _body(model: str, tokens: int, doors: int) -> bytes:
    return json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": f"{doors} doors has a house. Tell its story."}],
            "max_tokens": tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()


def _options(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="omni bench worker", description="Worker and gateway beside the bare engine.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is asked (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=128, help="that each stream answers (default: %(default)s)")
    results.add_options(parser)
    return parser.parse_args(args)
