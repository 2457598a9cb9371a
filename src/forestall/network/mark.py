"""The mark on what we closed: it says who closed it, for which machine and campaigns, and what stood there before.

On a switch it is the port's description: `[forestall m-1f2e openssl-1] Room 12`. Whoever reads it can free the port
without server and database (A13, break-glass), and a person at the switch sees why the port is down.
"""

import re
from dataclasses import dataclass, replace

WORD = "forestall"
_NAME = "[!-Z^-~]+"
_FORM = re.compile(
    rf"\[{WORD} ({_NAME}) ({_NAME})(?: vlan (\d{{1,4}}))?\] ?(.*)".encode(),
    re.DOTALL,
)
_CUT = b"~"
"""Ends a text that did not fit."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a mark says. `vlan` is where the port belonged before; None where the port itself was closed."""

    device: str
    campaigns: tuple[str, ...]
    before: bytes = b""
    vlan: int | None = None

    def with_campaign(self, campaign: str) -> "Mark":
        """Add a campaign."""
        return replace(self, campaigns=tuple(dict.fromkeys((*self.campaigns, campaign))))

    def without_campaign(self, campaign: str) -> "Mark":
        """Take a campaign out."""
        return replace(self, campaigns=tuple(each for each in self.campaigns if each != campaign))


def write_mark(mark: Mark, longest: int) -> bytes | None:
    """Write a mark, at most `longest` octets; the text of before is cut to fit.

    None where not even the mark itself fits.
    """
    vlan = f" vlan {mark.vlan}" if mark.vlan is not None else ""
    head = f"[{WORD} {mark.device} {','.join(mark.campaigns)}{vlan}]".encode()
    whole = b" ".join((head, mark.before)) if mark.before else head
    if len(whole) <= longest:
        return whole
    room = longest - len(head) - 1 - len(_CUT)
    if room > 0:
        return head + b" " + mark.before[:room].decode(errors="ignore").encode() + _CUT
    return head if len(head) <= longest else None


def read_mark(text: bytes) -> Mark | None:
    """Read a mark; None for a text that is not ours."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    device, campaigns, vlan, before = found.groups()
    return Mark(device.decode(), tuple(campaigns.decode().split(",")), before, int(vlan) if vlan else None)


def lost(mark: Mark, written: bytes) -> str:
    """Say which text of before did not fit, for the receipt; empty where it did."""
    if written.endswith(mark.before):
        return ""
    return f"the description was “{mark.before.decode(errors='replace')}”"
