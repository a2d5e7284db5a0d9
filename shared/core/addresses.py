"""Where a request comes from, as far as it can be believed.

A proxy appends the address it was called from to X-Forwarded-For; everything left of that is the caller's own word.
So with n proxies in front the n-th entry from the right is the address, and without one a request that carries the
header has none: whatever stands there, or has made of it a connection's address, came from the caller.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
            *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        ),
    )
)
"""What IANA's IPv4 Special-Purpose Address Registry (of 2025-10) does not call globally reachable, all of 192.0.0.0/24
(in which clouds keep metadata servers), the retired 6to4 relays (RFC 7526), and multicast."""
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA has allocated as IPv6 global unicast. Outside of it are loopback, link-local, site-local, unique local,
multicast, discard-only and segment-routing addresses, and those that carry an IPv4 address."""
NOT_PUBLIC_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Inside of it, by IANA's IPv6 Special-Purpose Address Registry (of 2025-10): protocol assignments with Teredo,
documentation, 6to4."""
NAT64 = IPv6Network("64:ff9b::/96")
"""Globally reachable, and what DNS64 makes of an IPv4 address, which stands in the last 32 bits (RFC 6052)."""
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
    """Whether an address belongs to the open internet.

    The lists are ours: the standard library's differ from one Python to the next.
    """
    address = _parsed(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address in NAT64:
        address = IPv4Address(address.packed[-4:])
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_V4)
    return (
        address is not None and address in GLOBAL_UNICAST and not any(address in network for network in NOT_PUBLIC_V6)
    )


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
