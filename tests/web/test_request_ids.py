"""A caller's request id is kept, unless it is a key or has one in it."""

import pytest

from shared.web.incoming import request_id

SECRET = "bnIwEcA3mcqd5mKRUx85wdIMG95n4iQQ26hVl3"


@pytest.mark.parametrize(
    "given",
    [
        *("a", "req-1", "Checkout-Page-7", "req_5f0c9a1e7b3d2c4f6a8b9d0e", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        *("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "3F2504E0-4F89-11D3-9A0C-0305E82C3301", "x" * 128, "prod-7"),
    ],
)
def test_an_id_is_kept(given: str) -> None:
    assert request_id(given) == given


@pytest.mark.parametrize(
    "given",
    [
        f"omni_PeZmVT9OjU1D_{SECRET}",
        f"PeZmVT9OjU1D_{SECRET}",
        SECRET,
        SECRET[5:25],
        f"trace-{SECRET}",
        f"x.omni_{SECRET.lower()}",
        "prod-key-acme-2025",
        "my-free-key-ann-1",
        "sk-proj-Abc123Def456Ghi789Jkl",
        *("", "a b", "ä", "x" * 129, "a\nb"),
    ],
)
def test_what_has_a_secret_in_it_is_replaced(given: str) -> None:
    new = request_id(given, lambda _: 1)
    assert new == "req_000000000000000000000001"
