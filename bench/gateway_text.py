"""The report of `omni bench gateway` for a terminal."""

from bench.figures import table
from bench.gateway_report import OMNI, Report, Row
from bench.surroundings import verdict

HEAD = [
    "",
    "µs CPU a request",
    "requests/s",
    "p50 alone, ms",
    "p50 at 16, ms",
    "p99 at 16, ms",
    "start, s",
    "MiB at rest",
    "after load",
    "checks and counts",
]
FULL_CORE = 0.9
"""A server that used less of its core was held back by something else."""
MICROSECOND, MILLISECOND, MEBIBYTE = 1e-6, 1e-3, 2.0**20


def text(report: Report) -> str:
    rows = table([HEAD, *(_cells(row) for row in report.rows)])
    notes = [note for row in report.rows for note in _notes(row)]
    parts = [_heading(report), rows, "\n".join(notes), _ratios(report), verdict(report.others_share, report.goals)]
    return "\n\n".join(part for part in parts if part)


def _heading(report: Report) -> str:
    cores, plan = report.cores, report.plan
    place = f"server on core {cores.server}, load and upstream ({report.upstream}) on core {cores.load}"
    if cores.shared:
        place = f"there is one core, which server, load and upstream ({report.upstream}) share: every rate is too low"
    return (
        f"{report.machine.heading}; {place}\n"
        f"median of {plan.rounds} alternating rounds ± half of their range; "
        f"{plan.connections} connections for {plan.load_s:g} s, then 1 for {plan.single_s:g} s"
    )


def _cells(row: Row) -> list[str]:
    name = f"{row.name} {row.version}".rstrip()
    if row.summary is None:
        return [name, *["–"] * (len(HEAD) - 2), row.does]
    figures = row.summary
    return [
        name,
        figures.cpu_s_a_request.text(MICROSECOND, 1),
        figures.requests_per_s.text(),
        figures.alone_p50_s.text(MILLISECOND, 2),
        figures.loaded_p50_s.text(MILLISECOND, 2),
        figures.loaded_p99_s.text(MILLISECOND, 2),
        figures.start_s.text(digits=2),
        figures.memory_rest_bytes.text(MEBIBYTE),
        figures.memory_loaded_bytes.text(MEBIBYTE),
        row.does,
    ]


def _notes(row: Row) -> list[str]:
    notes = [f"{row.name} has no figures: {row.trouble}"] if row.trouble else []
    for number, each in enumerate(row.rounds, 1):
        notes += [f"{row.name}, round {number}: {count} failed ({fault})" for fault, count in each.failures.items()]
    if row.summary and row.summary.core_share.median < FULL_CORE:
        share = f"{row.summary.core_share.median:.0%}"
        notes.append(f"{row.name} used only {share} of its core: the load was the limit, or the machine was busy")
    return notes


def _ratios(report: Report) -> str:
    parts = [f"{ratio.median:.3g} × {peer}{ratio.spread}" for peer, ratio in report.ratios.items()]
    return f"Requests a second of processor time, {OMNI}'s: {', '.join(parts)}" if parts else ""
