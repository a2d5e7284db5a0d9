"""What `omni bench gateway` found: figures over the rounds, ratios and goals."""

from dataclasses import dataclass

from bench import surroundings
from bench.cores import Cores
from bench.figures import Figure
from bench.machine import Machine
from bench.rounds import Plan, Round

OMNI = "Omni"
NGINX = "nginx"
PEER_GOALS = {"nginx": 0.25, "rolter": 2, "smg": 2, "TensorZero": 2, "Portkey": 25, "LiteLLM": 100}
"""What Omni does with a second of processor time, at least so many times the peer's."""


@dataclass(frozen=True, slots=True)
class Summary:
    cpu_s_a_request: Figure
    requests_per_s: Figure
    core_share: Figure
    alone_p50_s: Figure
    """On one connection."""
    loaded_p50_s: Figure
    loaded_p99_s: Figure
    start_s: Figure
    memory_rest_bytes: Figure
    memory_loaded_bytes: Figure

    @classmethod
    def over(cls, rounds: list[Round]) -> "Summary":
        return cls(
            cpu_s_a_request=Figure.over(each.cpu_s_a_request for each in rounds),
            requests_per_s=Figure.over(each.requests_per_s for each in rounds),
            core_share=Figure.over(each.core_share for each in rounds),
            alone_p50_s=Figure.over(each.single.p50_s for each in rounds),
            loaded_p50_s=Figure.over(each.loaded.p50_s for each in rounds),
            loaded_p99_s=Figure.over(each.loaded.p99_s for each in rounds),
            start_s=Figure.over(each.start_s for each in rounds),
            memory_rest_bytes=Figure.over(each.memory_rest_bytes for each in rounds),
            memory_loaded_bytes=Figure.over(each.memory_loaded_bytes for each in rounds),
        )


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    version: str
    does: str
    trouble: str
    """Why there are no figures, or not all; empty when there are."""
    rounds: list[Round]
    summary: Summary | None

    @classmethod
    def over(cls, name: str, version: str, does: str, trouble: str, rounds: list[Round]) -> "Row":
        return cls(name, version, does, trouble, rounds, Summary.over(rounds) if rounds and not trouble else None)

    @property
    def is_sound(self) -> bool:
        """Whether every round ran and every answer was right."""
        return self.summary is not None and not any(each.failures for each in self.rounds)


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    cores: Cores
    upstream: str
    plan: Plan
    rows: list[Row]
    ratios: dict[str, Figure]
    """Each peer's processor time a request over Omni's, round by round."""
    others_share: float
    """Of the whole machine, what other programs used in the worst round."""
    goals: dict[str, bool]
    """Each goal that could be looked at, and whether the medians reach it; none when others used too much."""

    @classmethod
    def over(cls, machine: Machine, cores: Cores, upstream: str, plan: Plan, rows: list[Row]) -> "Report":
        ratios = _ratios(rows)
        others = max((each.others_share for row in rows for each in row.rounds), default=0.0)
        goals = _goals(rows, ratios) if others <= surroundings.MOST else {}
        return cls(machine, cores, upstream, plan, rows, ratios, others, goals)


def _ratios(rows: list[Row]) -> dict[str, Figure]:
    ours = next((row.rounds for row in rows if row.name == OMNI and row.summary), None)
    return {
        row.name: Figure.over(
            their.cpu_s_a_request / our.cpu_s_a_request for our, their in zip(ours, row.rounds, strict=True)
        )
        for row in rows
        if ours and row.summary and row.name != OMNI
    }


def _goals(rows: list[Row], ratios: dict[str, Figure]) -> dict[str, bool]:
    ours = next((row.summary for row in rows if row.name == OMNI), None)
    if ours is None:
        return {}
    alone = {
        "50 µs of processor time a request": ours.cpu_s_a_request.median <= 50e-6,
        "p99 at most 2 × p50 under load": ours.loaded_p99_s.median <= 2 * ours.loaded_p50_s.median,
        "start in 0.5 s": ours.start_s.median <= 0.5,
        "75 MiB": ours.memory_loaded_bytes.median <= 75 * 2**20,
    }
    beside = {
        f"{least:g} × {peer}": ratios[peer].median >= least for peer, least in PEER_GOALS.items() if peer in ratios
    }
    nginx = next((row.summary for row in rows if row.name == NGINX), None)
    latency = (
        {"p50 alone at most 1.3 × nginx's": ours.alone_p50_s.median <= 1.3 * nginx.alone_p50_s.median} if nginx else {}
    )
    return alone | latency | beside
