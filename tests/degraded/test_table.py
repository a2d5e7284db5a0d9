"""Every row of docs/60-degraded-modes.md: what is promised there is what happens.

`./omni test tests/degraded --outage-s 60` lets each outage last a minute.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import dropwhile, takewhile
from pathlib import Path

import pytest

from tests.degraded import platform
from tests.degraded.load import Answer, Keys, Load
from tests.degraded.outages import Switch
from tests.degraded.platform import Platform, metric
from tests.waiting import wait_until

DOCUMENT = Path(__file__).parents[2] / "docs" / "60-degraded-modes.md"
RECOVERY_S = 90.0
"""A breaker's longest pause, and then some."""
IN_PASSING = {"200", "502 `upstream_failed`", "503 `unavailable`", "503 `upstream_unavailable`"}
"""What a request may get while an outage has not been noticed yet, where it will get another answer than 200."""

Row = Mapping[str, str]


def rows() -> list[Row]:
    """Of the page's first table."""
    lines = dropwhile(lambda line: not line.startswith("| "), DOCUMENT.read_text().splitlines())
    table = takewhile(lambda line: line.startswith("| "), lines)
    heading, _, *body = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in table)
    return [dict(zip(heading, cells, strict=True)) for cells in body]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Platform]:
    with platform.running(tmp_path) as started:
        yield started


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['service']} {row['outage']}")
def test_what_is_promised_for_an_outage_is_what_happens(running: Platform, row: Row, outage_s: float) -> None:
    outage = Switch(running.outage(row["service"], hangs=row["outage"].startswith("hangs")))
    keys, from_the_start = Keys(running.keys), row["outage"].endswith("from the start")
    if from_the_start:
        outage.begin()
    base_url = running.start_gateway()
    with Load(base_url, keys) as load:
        if not from_the_start:
            wait_for(lambda: is_as_before(load), load, "everything works")
            outage.begin()
        marks = load.marks()
        wait_for(lambda: is_as_promised(load, row), load, "what the row says")
        time.sleep(outage_s)
        wait_for(lambda: is_told(load, base_url, row), load, "what tells of it")
        during = load.since(marks)
        outage.end()
        wait_for(lambda: is_as_before(load), load, "everything works again")
    assert all(metric(base_url, name) == 0 for name in gauges(row))
    for name, answers in during.items():
        assert not surprises(answers, row[name]), name


def wait_for(condition: Callable[[], bool], load: Load, description: str) -> None:
    try:
        wait_until(condition, description=description, within_s=RECOVERY_S)
    except AssertionError as error:
        raise AssertionError(f"{error}; instead {load.latest()}") from None


def is_as_promised(load: Load, row: Row) -> bool:
    return all(answer == row[name] for name, answer in load.latest().items())


def is_as_before(load: Load) -> bool:
    latest = load.latest()
    return latest.pop("`/ready`") == "200 `ok`" and set(latest.values()) == {"200"}


def surprises(answers: list[Answer], promised: str) -> set[str]:
    """What was answered beside what was promised, and what may be while the outage is new."""
    allowed = {promised}
    if not promised.startswith("200"):
        allowed |= IN_PASSING
    if "`degraded`" in promised:
        allowed.add("200 `ok`")
    without_wait = {str(answer) for answer in answers if answer.status == 503 and "retry-after" not in answer.headers}
    return {str(answer) for answer in answers} - allowed | without_wait


def is_told(load: Load, base_url: str, row: Row) -> bool:
    told = re.findall(r"`([^`]+)`", row["told by"])
    headers = dict(each.split(": ") for each in told if ":" in each)
    answered = [load.kinds["inference, static key"].answers[-1].headers.get(name) for name in headers]
    return answered == list(headers.values()) and all(
        metric(base_url, name) > 0 for name in told if name not in " ".join(headers) and ":" not in name
    )


def gauges(row: Row) -> list[str]:
    return [name for name in re.findall(r"`(omni_[^`]+)`", row["told by"]) if not name.endswith("_total")]
