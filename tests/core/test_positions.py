import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import InvalidRequest
from shared.core.positions import Position, from_cursor, to_cursor

VALUES = st.text() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(VALUES, st.text(min_size=1, max_size=125))
def test_a_cursor_leads_back_to_its_position(value: str | float, key: str) -> None:
    assert from_cursor(to_cursor(Position(value, key))) == (value, key)


@pytest.mark.parametrize(
    "cursor",
    ["x", "zz", "00", "", "5b5d", b'["a"]'.hex(), b'[null,"a"]'.hex(), b'[1,2]'.hex(), b"[1e999,2]".hex(), "5b" * 1000,
     b'[99999999999999999999,"a"]'.hex(), b'{"a":1}'.hex(), b'{"a":1,"b":2}'.hex(), b'[true,"a"]'.hex(), b'"ab"'.hex(),
     b'[NaN,"a"]'.hex(), b'[1,"\\ud800"]'.hex(), b'[1,""]'.hex(), "'; DROP TABLE jobs; --", "\u00e9", "\ud800",
     to_cursor(Position(1, "x" * 501))],
)  # fmt: skip
def test_a_text_that_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        from_cursor(cursor)
    assert refusal.value.param == "after"
