"""Which addresses of the network are of the public Internet, and which are not asked on behalf of others."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest

__all__ = ["in_turns", "is_allowed", "is_near", "is_public", "looked_up"]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
# beside what `ipaddress` knows, which depends on Python's version
_CLOSED = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4",
        "168.63.129.16/32",  # the inside of a cloud, under a public address
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
]  # fmt: skip

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(text: str) -> bool:
    """Whether an address is one of the public Internet, which anybody may ask.

    One of IPv6 that stands for one of IPv4 (mapped, NAT64) is what that is. Tunnels (6to4, Teredo) are not.
    """
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        if address not in _UNICAST:
            return False
    closed = any(address in network for network in _CLOSED if network.version == address.version)
    return address.is_global and not (address.is_multicast or address.is_reserved or closed)


def is_near(text: str, own: str) -> bool:
    """Whether an address may be of the network that `own` is of, behind the same wall as this machine."""
    there, here = ipaddress.ip_address(text), ipaddress.ip_address(own)
    if there.version != here.version:
        return False
    bits = 24 if there.version == 4 else 48
    return here in ipaddress.ip_network(f"{there}/{bits}", strict=False)


def is_allowed(text: str) -> bool:
    """Whether an address is public and none of a neighbour's, as far as this machine's own address tells."""
    if not is_public(text):
        return False
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as unsent:
        unsent.connect((text, 443))  # chooses an address to send from, and sends nothing
        return not is_near(text, unsent.getsockname()[0])
    return True  # it cannot be reached anyhow


def looked_up(host: str) -> list[str]:
    """All addresses of a name, each once, in the order of the system."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


def in_turns(addresses: Sequence[str]) -> list[str]:
    """Addresses of IPv6 and IPv4 by turns, the first one's family first: one of them may lead nowhere."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    other = [address for address in addresses if address not in first]
    return [address for address in chain(*zip_longest(first, other)) if address is not None]
