"""`omni bench budget`: several gateway processes on one store, and tenants who spend as fast as they can.

What was spent is counted where it costs money: at the upstream, which answers every request at a known price.

- *tight*: every process spends the same dollar, until each of them refuses;
- *unbounded*: five cents, and requests that name no number of tokens, so that each might cost a hundred dollars;
- *killed*: the same as tight, and one process is killed (SIGKILL) in the middle: what it held counts as spent;
- *steady*: a tenant with money enough, for the exchanges with the store.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import mock, omni, results
from bench.figures import table
from bench.machine import Machine, describe
from bench.processes import BenchError, Server, running
from bench.start import until_ready
from shared.core.budgets import Ledger, day_of
from shared.core.pricing import NANO, dollars
from shared.money.ledgers import Ledgers
from shared.ports.store import Store
from shared.settings import Settings
from shared.wiring import Ports

COST = NANO // 1000
"""Nano-dollars of each answer: 10 tokens in at $10 a million, 9 out at $100."""
BUDGETS = {"tight": NANO, "unbounded": NANO // 20, "killed": NANO}
KILL_AFTER = 200
"""Answers."""
PATIENCE_S = 120.0
PAUSE_S = 0.1
REFUSED_FOR_S = 5.0
WARM_S = 3.0
SETTLED_AFTER_S = 4.0
"""By then every instance has given back what it does not need."""
MODELS = f"""
[[model]]
id = "{mock.MODEL}"
upstreams = [{{{{ url = "{{upstream}}/v1" }}}}]
price = {{{{ input = 10, output = 100 }}}}

[limits.tenants]
tight.budget.daily_usd = 1
unbounded.budget.daily_usd = 0.05
killed.budget.daily_usd = 1
steady.budget.monthly_usd = 1000
"""
EXCHANGES = re.compile(r"^omni_budget_exchanges_total ([0-9.e+]+)", re.MULTILINE)
HEAD = ["tenant", "budget", "at the upstream", "in the ledger", "lost with a process", "refused", "took", ""]
UNBOUNDED = json.dumps({"model": mock.MODEL, "messages": [{"role": "user", "content": "Hello"}]}).encode()


@dataclass(frozen=True, slots=True)
class Plan:
    processes: int
    connections: int
    """To each process."""
    steady_s: float


@dataclass(frozen=True, slots=True)
class Spent:
    """Nano-dollars."""

    name: str
    budget: int
    at_the_upstream: int
    in_the_ledger: int
    lost: int
    """Held by a process that was killed."""
    refused: int
    seconds: float

    @property
    def is_kept(self) -> bool:
        return self.at_the_upstream <= self.budget + COST and self.in_the_ledger >= self.at_the_upstream


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    plan: Plan
    spent: list[Spent]
    steady_requests: int
    steady_exchanges: int

    @property
    def is_sound(self) -> bool:
        return all(each.is_kept for each in self.spent)


def run(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="omni bench budget", description="Many processes on one budget.")
    parser.add_argument("--processes", type=int, default=8, help="gateways (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of steady load (default: %(default)s)")
    results.add_options(parser)
    options = parser.parse_args(args)
    plan = Plan(2, 2, 1.0) if options.quick else Plan(options.processes, 2, options.seconds)
    report = measure(plan)
    print(text(report))
    results.keep("budget", report, options)
    return 0 if report.is_sound else 1


def measure(plan: Plan) -> Report:
    with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder, ExitStack() as started:
        scratch = Path(folder)
        upstream = started.enter_context(running(mock.program(scratch), scratch / "upstream.log"))
        (scratch / "models.toml").write_text(MODELS.format(upstream=f"http://127.0.0.1:{upstream.program.port}"))
        environment = omni.environment(scratch / "state")
        names = (*BUDGETS, "steady")
        keys = {name: f"prod-key-{name}-{environment['OMNI_KEY_PEPPER']}" for name in names}
        environment |= {
            "API_KEYS": ",".join(keys.values()),
            "OMNI_MODELS_FILE": str(scratch / "models.toml"),
            "OMNI_TIER_LIMITS": "premium.requests_per_minute=0,premium.tokens_per_minute=0",
            "OMNI_LOG_LEVEL": "WARNING",
        }
        gateways = []
        for number in range(plan.processes):
            program = omni.function("gateway", environment, "--asgi")
            gateways.append(started.enter_context(running(program, scratch / f"gateway {number}.log")))
        for gateway in gateways:
            until_ready(gateway, "/api/health")
        store = Ports(Settings(state_dir=scratch / "state")).store
        scene = Scene(plan, upstream, gateways, keys, store)
        steady_requests, steady_exchanges = asyncio.run(scene.steady())
        spent = [asyncio.run(scene.spend(name)) for name in BUDGETS]
    return Report(describe(), plan, spent, steady_requests, steady_exchanges)


class Scene:
    """The processes, and callers who ask them all at once."""

    def __init__(
        self, plan: Plan, upstream: Server, gateways: Sequence[Server], keys: dict[str, str], store: Store
    ) -> None:
        self._plan = plan
        self._upstream = upstream
        self._gateways = list(gateways)
        self._keys = keys
        self._store = store
        self._answers = 0
        self._refused = 0

    async def spend(self, name: str) -> Spent:
        """Until every process that is left says that the budget is spent, or has refused everything for a while: what a
        killed one held is reserved until its lease ends, and spent from then on."""
        self._answers = self._refused = 0
        asked, began = mock.asked(self._upstream.program.port), time.monotonic()
        body = UNBOUNDED if name == "unbounded" else mock.request()
        async with httpx.AsyncClient(timeout=PATIENCE_S, limits=httpx.Limits(max_connections=None)) as client:
            asking = [self._until_spent(client, gateway, name, body) for gateway in self._lines()]
            if name == "killed":
                asking.append(self._kill())
            await asyncio.gather(*asking)
        seconds = time.monotonic() - began
        passed_on = mock.asked(self._upstream.program.port) - asked - 1
        await asyncio.sleep(SETTLED_AFTER_S)
        ledger = self._ledger(name)
        lost = sum(lease.amount for lease in ledger.leases.values())
        return Spent(name, BUDGETS[name], passed_on * COST, ledger.month_spent + lost, lost, self._refused, seconds)

    async def steady(self) -> tuple[int, int]:
        """Requests answered, and exchanges with the store that they took."""
        async with httpx.AsyncClient(timeout=PATIENCE_S, limits=httpx.Limits(max_connections=None)) as client:
            await self._for(client, WARM_S)
            before, self._answers = await self._exchanges(client), 0
            await self._for(client, self._plan.steady_s)
            return self._answers, await self._exchanges(client) - before

    async def _for(self, client: httpx.AsyncClient, seconds: float) -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._until(client, gateway, end) for gateway in self._lines()))

    async def _until(self, client: httpx.AsyncClient, gateway: Server, end: float) -> None:
        while time.monotonic() < end:
            answer = await self._ask(client, gateway, "steady", mock.request())
            if answer.status_code != httpx.codes.OK:
                raise BenchError(f"{gateway.name} answered {answer.status_code}: {answer.text[:300]}")
            self._answers += 1

    async def _until_spent(self, client: httpx.AsyncClient, gateway: Server, name: str, body: bytes) -> None:
        answered_at = time.monotonic()
        while time.monotonic() < answered_at + REFUSED_FOR_S:
            try:
                answer = await self._ask(client, gateway, name, body)
            except httpx.TransportError:
                if gateway in self._gateways:
                    raise
                return  # it was killed
            if answer.status_code == httpx.codes.OK:
                self._answers, answered_at = self._answers + 1, time.monotonic()
                continue
            if answer.json()["error"]["code"] != "budget_exceeded":
                raise BenchError(f"{gateway.name} answered {answer.status_code}: {answer.text[:300]}")
            self._refused += 1
            if "x-should-retry" in answer.headers:
                return
            await asyncio.sleep(PAUSE_S)

    async def _kill(self) -> None:
        while self._answers < KILL_AFTER:  # noqa: ASYNC110 (nothing tells when it is so far)
            await asyncio.sleep(PAUSE_S / 10)
        victim = self._gateways.pop()
        os.killpg(victim.pid, signal.SIGKILL)

    async def _ask(self, client: httpx.AsyncClient, gateway: Server, name: str, body: bytes) -> httpx.Response:
        url = f"http://127.0.0.1:{gateway.program.port}{mock.PATH}"
        headers = {"authorization": f"Bearer {self._keys[name]}", "content-type": "application/json"}
        return await client.post(url, content=body, headers=headers)

    async def _exchanges(self, client: httpx.AsyncClient) -> int:
        pages = [await client.get(f"http://127.0.0.1:{each.program.port}/metrics") for each in self._gateways]
        return sum(int(float(found)) for page in pages for found in EXCHANGES.findall(page.text))

    def _lines(self) -> list[Server]:
        return self._gateways * self._plan.connections

    def _ledger(self, name: str) -> Ledger:
        return Ledgers(self._store).get(f"tenant:{name}", day_of(time.time())[:7])


def text(report: Report) -> str:
    plan = report.plan
    rows = [
        [
            each.name,
            f"${dollars(each.budget)}",
            f"${dollars(each.at_the_upstream)}",
            f"${dollars(each.in_the_ledger)}",
            f"${dollars(each.lost)}",
            str(each.refused),
            f"{each.seconds:.1f} s",
            "kept" if each.is_kept else "BROKEN",
        ]
        for each in report.spent
    ]
    per_1000 = report.steady_exchanges / report.steady_requests * 1000
    return "\n".join(
        [
            f"{plan.processes} gateways, {plan.connections} connections to each, one store (SQLite), "
            f"${dollars(COST)} an answer",
            "",
            table([HEAD, *rows]),
            "",
            f"steady: {report.steady_requests} requests in {plan.steady_s:g} s, {report.steady_exchanges} exchanges "
            f"with the store: {per_1000:.1f} for each 1,000",
        ]
    )
