"""Addresses of machines in one form each: MAC `52:54:00:12:34:56`, IP as `ipaddress` writes it."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

_MAC = re.compile(r"[0-9a-f]{12}")


def read_address(text: str) -> Address | None:
    """Read a literal address; None for anything else: no name is ever looked up, no zone is obeyed.

    An IPv4 address in IPv6 clothes is judged as the IPv4 address that packets would go to.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        return None
    return address.ipv4_mapped or address


def canonical_mac(text: str) -> str:
    """Read a MAC address in any usual form (colons, hyphens, Cisco's dots, bare); empty where it is none."""
    digits = re.sub(r"[:.\-]", "", text.strip().lower())
    if not _MAC.fullmatch(digits) or int(digits[1], 16) & 1 or not int(digits, 16):
        return ""  # groups and the null address belong to nobody
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def canonical_ip(text: str) -> str:
    """Read an IPv4 or IPv6 address; empty where it is none."""
    address = read_address(text.strip())
    return "" if address is None else str(address)


def canonical(text: str) -> str:
    """Read either kind; empty where it is neither."""
    return canonical_ip(text) or canonical_mac(text)


def macs(addresses: Iterable[str]) -> tuple[str, ...]:
    """Pick the MAC addresses, in one form, in order, each once."""
    return tuple(dict.fromkeys(found for each in addresses if (found := canonical_mac(each))))


def ips(addresses: Iterable[str]) -> tuple[str, ...]:
    """Pick the IP addresses, in one form, in order, each once."""
    return tuple(dict.fromkeys(found for each in addresses if (found := canonical_ip(each))))


def mac_of_bytes(value: bytes | tuple[int, ...]) -> str:
    """Write six bytes as a MAC address; empty where they are none."""
    return canonical_mac(bytes(value).hex()) if len(value) == 6 else ""
