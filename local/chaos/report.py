"""What `omni chaos` prints."""

from collections.abc import Mapping
from dataclasses import dataclass

import click

from local.chaos.audit import POINTS
from local.chaos.fleet import LEASE_S, Injected
from local.chaos.recovery import RecoveryTimes, spread


@dataclass(frozen=True, slots=True)
class Totals:
    """What became of the jobs."""

    jobs: int
    states: Mapping[str, int]
    lost: int
    """Not final in time."""
    doubled: int
    """Final writes beyond the first of a run."""
    charged: int
    """What the ledgers say was spent; each job that succeeded costs 1."""
    reserved: int
    """What the ledgers still hold; nothing must be left."""
    doubled_webhooks: int
    missing_webhooks: int
    """Beyond, and short of, one for each end."""
    doubled_retries: int = 0
    """Retries that were taken beyond one for each failed job."""
    broken_rounds: int = 0
    """Of schedules."""
    set_aside: int = 0
    """Documents."""

    @property
    def wrong_charges(self) -> int:
        return abs(self.charged - self.states.get("succeeded", 0))

    @property
    def is_sound(self) -> bool:
        faults = (self.lost, self.doubled, self.wrong_charges, self.reserved, self.broken_rounds, self.doubled_retries)
        return not any((*faults, self.doubled_webhooks, self.missing_webhooks))


def report(injected: Injected, totals: Totals, times: RecoveryTimes, seconds: float) -> None:
    click.echo(f"injected: {injected.all_kills} SIGKILLs, {injected.stops} SIGSTOPs past the lease of {LEASE_S:g} s")
    for point in POINTS:
        click.echo(f"    {injected.points[point]:5}  {point}")
    click.echo(f"    {injected.kills:5}  anywhere")
    click.echo(f"    {injected.stalls:5}  jobs whose task or worker stood still")
    click.echo(f"    {injected.retries:5}  calls to retry failed jobs, many at once")
    click.echo(f"    {injected.poisoned:5}  poisoned documents, {totals.set_aside} set aside")
    states = ", ".join(f"{number} {name}" for name, number in sorted(totals.states.items()))
    click.echo(f"checked: {totals.jobs} jobs in {seconds:.0f} s: {states}")
    click.echo(f"jobs_lost: {totals.lost}")
    click.echo(
        f"doubled: {totals.doubled} final writes, {totals.wrong_charges} wrong charges of {totals.charged}, "
        f"{totals.doubled_webhooks} webhooks, {totals.doubled_retries} retries"
    )
    click.echo(
        f"left over: {totals.reserved} reserved, {totals.missing_webhooks} webhooks missing, "
        f"{totals.broken_rounds} broken rounds of schedules"
    )
    click.echo(f"recovery, from kill to run again ({len(times.until_run)}): {spread(times.until_run)}")
    click.echo(f"recovery, from kill to final ({len(times.until_final)}): {spread(times.until_final)}")
