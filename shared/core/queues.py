"""The task queues there are, and which one a job goes through.

Cloud Tasks knows no priorities, so a priority is a queue of its own. Both `gpu` queues lead to the same slots: what
either may use of them is the dispatcher's business, and a busy worker puts a wake-up off.
"""

from math import ceil

from shared.core.fair_share import reserve_of

GPU_HI, GPU_LO, CPU, WEBHOOK = "gpu-hi", "gpu-lo", "cpu", "webhook"
QUEUES = (GPU_HI, GPU_LO, CPU, WEBHOOK)

WAITING_SHARE = 0.5
SHARE_OF_SLOTS = 0.9
"""What jobs may use of the workers' slots; the rest is for callers who wait."""


def queue_of(priority: str) -> str:
    """The queue of a job's wake-ups: `high` ones have their own."""
    return GPU_HI if priority == "high" else GPU_LO


def queue_named(full_name: str, prefix: str) -> str:
    """The queue of that name in the service, where it begins with the prefix; `gpu-lo` when it is none of ours."""
    name = full_name.removeprefix(prefix)
    return name if name in QUEUES else GPU_LO


def job_concurrency(instances: int, slots: int) -> int:
    """Jobs that one tenant may have running at the same time on so many workers."""
    return max(1, int(instances * slots * SHARE_OF_SLOTS))


def job_deliveries(instances: int, slots: int) -> int:
    """The most that both `gpu` queues deliver at once: beside one tenant's jobs there is room for other tenants', and
    for wake-ups that wait for their turn."""
    concurrency = job_concurrency(instances, slots)
    return concurrency + reserve_of((concurrency,))[0] + ceil(concurrency * WAITING_SHARE)
