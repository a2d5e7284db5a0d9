"""Where a request comes from: only what a trusted proxy or the connection itself says counts."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.addresses import client_address, is_within, subscriber

PROXY = "10.0.0.1"
CALLER = ip_address("203.0.113.7")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "trusted_proxies", "address"),
    [
        ("203.0.113.7", "", 0, "203.0.113.7"),
        (PROXY, "203.0.113.7", 1, "203.0.113.7"),
        (PROXY, "6.6.6.6, 203.0.113.7", 1, "203.0.113.7"),
        (PROXY, "6.6.6.6, 203.0.113.7, 35.191.0.1", 2, "203.0.113.7"),
        (PROXY, "2001:db8::1", 1, "2001:db8::1"),
        ("::ffff:203.0.113.7", "", 0, "203.0.113.7"),
        (PROXY, "203.0.113.7", 0, None),
        (PROXY, "", 1, None),
        (PROXY, "203.0.113.7", 2, None),
        (PROXY, "203.0.113.7, unknown", 1, None),
        ("", "", 0, None),
        ("/run/omni.sock", "", 0, None),
    ],
)
def test_the_address_is_the_nth_from_the_right(
    peer: str, forwarded_for: str, trusted_proxies: int, address: str | None
) -> None:
    found = client_address(peer, forwarded_for, trusted_proxies)
    assert found == (ip_address(address) if address else None)


@given(st.text(), st.integers(1, 3))
def test_nothing_a_caller_sends_moves_what_the_proxies_append(sent: str, proxies: int) -> None:
    appended = ["203.0.113.7", *["10.0.0.9"] * (proxies - 1)]
    assert client_address(PROXY, ", ".join([sent, *appended]), proxies) == CALLER


@given(st.text(), st.text(), st.integers(0, 3))
def test_noise_is_no_address_and_no_error(peer: str, forwarded_for: str, proxies: int) -> None:
    client_address(peer, forwarded_for, proxies)


def test_an_address_is_within_its_networks_only() -> None:
    networks = [ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")]
    assert is_within(CALLER, networks)
    assert is_within(ip_address("2001:db8::1"), networks)
    assert not is_within(ip_address("203.0.114.7"), networks)
    assert not is_within(None, networks)


def test_without_networks_every_address_will_do() -> None:
    assert is_within(CALLER, [])
    assert is_within(None, [])


def test_the_addresses_of_one_subscriber_count_together() -> None:
    assert subscriber(ip_address("2001:db8::1")) == subscriber(ip_address("2001:db8::ffff:1"))
    assert subscriber(ip_address("2001:db8::1")) != subscriber(ip_address("2001:db8:0:1::1"))
    assert subscriber(CALLER) != subscriber(ip_address("203.0.113.8"))
    assert subscriber(None) == "unknown"
