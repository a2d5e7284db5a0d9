"""A shared pool is never overdrawn, and no holder takes all of it."""

from hypothesis import given
from hypothesis import strategies as st

from shared.core.shared_pool import SharedPool, Shortage


def test_a_holder_has_a_share_and_all_have_the_whole() -> None:
    pool = SharedPool(10, 6)
    assert pool.take("a", 6) is None
    assert pool.take("a", 1) is Shortage.OF_SHARE
    assert pool.take("b", 5) is Shortage.OF_ALL
    assert pool.take("b", 4) is None
    pool.give_back("a", 6)
    assert pool.take("c", 6) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9))))
def test_it_is_never_overdrawn_and_remembers_only_holders(takes: list[tuple[str, int]]) -> None:
    pool = SharedPool(20, 12)
    taken = [(holder, amount) for holder, amount in takes if pool.take(holder, amount) is None]
    assert sum(amount for _, amount in taken) <= 20
    for holder, amount in taken:
        pool.give_back(holder, amount)
    assert pool == SharedPool(20, 12)
