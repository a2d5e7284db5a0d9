"""The `Prefer` header as RFC 7240 writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.preferences import Preferences, parse


@pytest.mark.parametrize(
    ("header", "respond_async", "wait_s"),
    [
        ("", False, None),
        ("respond-async", True, None),
        ("Respond-Async", True, None),
        ("respond-async, wait=10", True, 10),
        ("wait=10 , respond-async", True, 10),
        ('wait="10"', False, 10),
        ("wait = 10; foo=bar, respond-async;x", True, 10),
        ("wait=10, wait=20", False, 10),
        ("wait=3600", False, 60),
        ("wait=0", False, 0),
        ("wait=-1", False, None),
        ("wait=1.5", False, None),
        ("wait", False, None),
        ("wait=9999999999999", False, None),
        ('return=minimal; foo="a, respond-async", handling=lenient', False, None),
        (",,, respond-async ,", True, None),
    ],
)
def test_what_a_header_says(header: str, respond_async: bool, wait_s: int | None) -> None:  # noqa: FBT001
    assert parse(header) == Preferences(respond_async, wait_s)


@given(st.text())
def test_noise_prefers_nothing_and_breaks_nothing(header: str) -> None:
    assert parse(header).wait_s in (None, *range(61))


def test_a_long_header_is_quickly_done_with() -> None:
    assert parse('"' * 30_000) == Preferences()
    assert parse('a="' * 300) == Preferences()


def test_what_was_applied_is_said() -> None:
    assert Preferences(respond_async=True, wait_s=5).applied == "respond-async, wait=5"
    assert Preferences(respond_async=True).applied == "respond-async"
