"""Which network addresses a tool may connect to: by default, only those of the public internet.

A model chooses the URLs, and whoever writes a page that a model reads chooses with it. So the rule is a list of what is
allowed, not of what is forbidden, and an address that carries another one inside is judged by both. Pure: this module
must not know names or sockets.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

__all__ = ["Address", "AddressPolicy", "Network", "is_public"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Where public IPv6 addresses are (RFC 4291); the rest of the space is special or not in use.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
#: What carries an IPv4 address inside, and how many bits follow that.
_EMBEDDING: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped, RFC 4291
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056
)
#: Special although Python's own tables, in some version that we run on, call them public.
_SPECIAL: Final = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's metadata and management
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata among them
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "2001::/23",  # protocol assignments; Teredo among them, which carries an IPv4 address too
        "3fff::/20",  # documentation
    )
)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What an operator lets the tool connect to. Nothing in it can be reached by a tool's arguments."""

    ports: frozenset[int] = frozenset({80, 443, 8080, 8443})
    """The ports of public addresses, so that a tool is no port scanner and talks to no mail server."""
    opened: tuple[Network, ...] = ()
    """Networks that are allowed although they are not public, on every port."""

    def allows(self, address: Address, port: int) -> bool:
        """Whether a connection to this very address may be opened."""
        if any(address in network for network in self.opened):
            return True
        return port in self.ports and is_public(address)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, as is every address that it carries inside."""
    if any(address in network for network in _SPECIAL):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not (address.is_multicast or address.is_reserved)
    for network, shift in _EMBEDDING:
        if address in network:
            return is_public(IPv4Address(int(address) >> shift & 0xFFFF_FFFF))
    return address in _GLOBAL_UNICAST and address.is_global
