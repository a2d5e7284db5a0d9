"""The order in which a model's upstreams are tried."""

import random
from collections import Counter

from shared.core.routing import UpstreamTarget, attempt_order


def test_a_lower_priority_is_tried_first() -> None:
    backup, first = UpstreamTarget("http://b", "m", priority=1), UpstreamTarget("http://a", "m", priority=0)
    assert attempt_order([backup, first], random.Random(1).random) == [first, backup]


def test_weights_share_the_traffic_among_equals() -> None:
    heavy, light = UpstreamTarget("http://h", "m", weight=9), UpstreamTarget("http://l", "m", weight=1)
    draw = random.Random(7)
    firsts = Counter(attempt_order([light, heavy], draw.random)[0].url for _ in range(2000))
    assert 0.85 < firsts["http://h"] / 2000 < 0.95


def test_every_upstream_is_in_the_order() -> None:
    targets = [UpstreamTarget(f"http://{n}", "m", weight=n + 1) for n in range(5)]
    assert sorted(t.url for t in attempt_order(targets, random.Random(3).random)) == [t.url for t in targets]
