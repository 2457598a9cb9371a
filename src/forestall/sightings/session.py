"""A RADIUS accounting request (RFC 2866) as sightings: who came in, at which port, with which addresses."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from forestall.domain.address import canonical_mac, read_address
from forestall.domain.device import SiteId
from forestall.domain.sighting import Sighting, Source
from forestall.sightings import cell

_ABOUT_SOMEBODY = frozenset({"start", "stop", "interim-update", "alive", "1", "2", "3"})
_LATEST = timedelta(days=1)
"""What happened longer ago is not news; nor is what a RADIUS client with a wrong clock says."""
_NOBODY = ("0.0.0.0", "255.255.255.254", "255.255.255.255", "::")  # noqa: S104 - RFC 2865, 5.8: the client chooses
_PRINTED = re.compile(r"(\w{3})\s+(\d{1,2}) (\d{4}) (\d\d:\d\d:\d\d) (?:UTC|GMT)")
Attributes = Mapping[str, Sequence[str]]


class Client(NamedTuple):
    """A RADIUS client that the settings know: a switch, an access point, a VPN gateway."""

    name: str
    site: SiteId


class Clients(NamedTuple):
    """RADIUS clients by their addresses, and the site of all others."""

    named: Mapping[str, Client]
    site: SiteId


def sightings_of(attributes: Attributes, clients: Clients, now: datetime) -> list[Sighting]:
    """Read who a session is of: one sighting for each of its addresses; none where it says nothing of anybody.

    Nothing in it makes anybody managed: it is the RADIUS client's word, and no certificate was verified here.
    """
    if _first(attributes, "Acct-Status-Type").lower() not in _ABOUT_SOMEBODY:
        return []
    seen_at = _seen_at(attributes, now)
    hardware = canonical_mac(_first(attributes, "Calling-Station-Id"))
    addresses = list(_addresses(attributes)) or [""]
    if seen_at is None or (not hardware and addresses == [""]):
        return []
    client = _client(attributes, clients)
    at = _first(attributes, "NAS-Port-Id", "NAS-Port")
    port = cell.text(f"{client.name} {at}") if at else ""
    return [
        Sighting(Source.LOGIN, client.site, seen_at, hardware, each, user=_user(attributes), port=port)
        for each in addresses
    ]


def _first(attributes: Attributes, *names: str) -> str:
    """Take the first value of the first attribute that is there."""
    return next(
        (found for name in names for value in attributes.get(name, ())[:1] if (found := cell.text(value))), ""
    )


def _addresses(attributes: Attributes) -> Iterator[str]:
    for name in ("Framed-IP-Address", "Framed-IPv6-Address"):
        for value in dict.fromkeys(attributes.get(name, ())):
            found = read_address(value.strip())
            if found is not None and str(found) not in _NOBODY and not found.is_link_local:
                yield str(found)


def _client(attributes: Attributes, clients: Clients) -> Client:
    said = _first(attributes, "NAS-IP-Address", "NAS-IPv6-Address")
    address = str(read_address(said) or "")
    known = clients.named.get(address)
    return known or Client(address or _first(attributes, "NAS-Identifier"), clients.site)


def _user(attributes: Attributes) -> str:
    """Name who logged in, without the domain before it; a machine that logs in as itself is nobody."""
    name = _first(attributes, "Stripped-User-Name", "User-Name").rpartition("\\")[2]
    return "" if canonical_mac(name) or name.startswith("host/") else name


def _seen_at(attributes: Attributes, now: datetime) -> datetime | None:
    """Say when it happened: repeated an hour later, it happened no later. None where it is too long ago."""
    delay = _first(attributes, "Acct-Delay-Time")
    at = now - timedelta(seconds=int(delay)) if delay.isdecimal() and len(delay) < 10 else now
    with suppress(ValueError, OverflowError):
        at = min(at, _instant(_first(attributes, "Event-Timestamp"), now))
    return at if at >= now - _LATEST else None


def _instant(said: str, now: datetime) -> datetime:
    """Read an instant as FreeRADIUS prints it, as a number, or in ISO 8601."""
    printed = _PRINTED.fullmatch(said)
    if printed:
        return datetime.strptime(" ".join(printed.groups()), "%b %d %Y %H:%M:%S").replace(tzinfo=UTC)
    return cell.moment(said, now)
