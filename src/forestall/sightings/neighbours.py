"""What `ip -j neigh` prints (iproute2): a router's table of hardware addresses."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.domain.sighting import Sighting, Source
from forestall.sightings import cell
from forestall.sightings.cell import Read

_NOT_SEEN = frozenset({"FAILED", "INCOMPLETE", "NOARP", "NONE"})


def read(data: bytes, site: SiteId, now: datetime) -> Read:
    """Read the table; with `-s` it says when each was last heard."""
    return cell.collect(_rows(data, site, now))


def _rows(data: bytes, site: SiteId, now: datetime) -> Iterator[tuple[str, partial[Sighting | None]]]:
    for place, row in enumerate(objects(data), start=1):
        yield f"entry {place}", partial(_sighting, row, site, now)


def objects(data: bytes) -> list[object]:
    """Read a JSON list.

    Raises:
        InputError: it is none.
    """
    try:
        found = json.loads(cell.decode(data))
    except (ValueError, RecursionError) as error:
        raise InputError(f"not usable as JSON: {type(error).__name__}: {str(error)[:100]}") from None
    if not isinstance(found, list):
        raise InputError("expected a JSON list with an object for each machine")
    return found


def _sighting(row: object, site: SiteId, now: datetime) -> Sighting | None:
    if not isinstance(row, dict):
        raise TypeError("is no object")
    states = row.get("state") or []
    if "lladdr" not in row or _NOT_SEEN.intersection(map(str, states)):
        return None
    ago = row.get("confirmed", 0)
    heard_at = now - timedelta(seconds=float(ago)) if isinstance(ago, int | float) and ago > 0 else now
    return Sighting(
        Source.NEIGHBOUR,
        site,
        heard_at,
        hardware=cell.hardware(str(row["lladdr"])),
        address=cell.address(str(row["dst"])),
        port=cell.text(row.get("dev")),
    )
