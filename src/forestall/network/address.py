"""Addresses of machines in one form each: MAC `52:54:00:12:34:56`, IP as `ipaddress` writes it."""

import ipaddress
import re
from collections.abc import Iterable

_MAC = re.compile(r"[0-9a-f]{12}")


def canonical_mac(text: str) -> str:
    """Read a MAC address in any usual form (colons, hyphens, Cisco's dots, bare); empty where it is none."""
    digits = re.sub(r"[:.\-]", "", text.strip().lower())
    if not _MAC.fullmatch(digits) or int(digits[1], 16) & 1 or not int(digits, 16):
        return ""  # groups and the null address belong to nobody
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def canonical_ip(text: str) -> str:
    """Read an IPv4 or IPv6 address; empty where it is none."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return ""


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
