"""Where a request comes from, as far as it can be believed.

A proxy appends the address it was called from to X-Forwarded-For; everything left of that is the caller's own word.
So with n proxies in front the n-th entry from the right is the address, and without one a request that carries the
header has none: whatever stands there, or has made of it a connection's address, came from the caller.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

TRANSLATED = tuple(map(ip_network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")))
"""IPv4-compatible, NAT64, Teredo, 6to4."""
SUBSCRIBER_BITS = 64
"""An IPv6 subscriber gets at least a /64 of addresses, and may use any of them."""


def client_address(peer: str, forwarded_for: str, trusted_proxies: int) -> Address | None:
    """The caller's address, or None when nothing that can be believed tells it.

    `peer` is the connection's other end; `forwarded_for` holds every X-Forwarded-For line, joined by commas.
    """
    if not trusted_proxies:
        return None if forwarded_for else _parsed(peer)
    entries = forwarded_for.split(",")
    return _parsed(entries[-trusted_proxies].strip()) if len(entries) >= trusted_proxies else None


def subscriber(address: Address | None) -> str:
    """Whom attempts from an address are counted against: an IPv4 address, or an IPv6 network of 64 bits."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, SUBSCRIBER_BITS), strict=False))
    return str(address) if address else "unknown"


def is_within(address: Address | None, networks: Sequence[Network]) -> bool:
    """Whether the address is in one of the networks; True when there are none to be in."""
    return not networks or (address is not None and any(address in network for network in networks))


def is_public(text: str) -> bool:
    """Whether an address belongs to the open internet. Private, local, shared, reserved and multicast ones do not,
    and neither do those that carry an IPv4 address to a translator, where it could be any of them."""
    address = _parsed(text.partition("%")[0])
    if address is None or not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address.version == network.version and address in network for network in TRANSLATED)


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
