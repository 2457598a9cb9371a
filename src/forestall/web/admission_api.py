"""What a RADIUS server is answered: FreeRADIUS asks through its REST module (docs/network.md has the configuration).

200 with attributes puts the machine into a VLAN, 204 lets it in wherever the RADIUS server puts it, 403 rejects it.
"""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from forestall.clock import utc_now
from forestall.domain.admission import Entry
from forestall.server.doorkeeper import Admission, Doorkeeper
from forestall.server.network_file import AdmissionTable
from forestall.web.radius_json import attributes, authentic

PATH = "/radius/authorize"


@dataclass(frozen=True, slots=True)
class Door:
    """The doorkeeper, what it answers with, and the password of those who may ask."""

    keeper: Doorkeeper
    table: AdmissionTable
    password: str
    simulate: bool


def admission_routes(door: Door) -> list[Route]:
    """Make the route; nobody is answered without the password."""

    async def authorize(request: Request) -> Response:
        if not authentic(request, door.password):
            return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="forestall"'})
        station = await _station(request)
        if station is None:
            return Response(status_code=400)
        admission = await asyncio.to_thread(door.keeper.ask, station, utc_now())
        return _answer(admission, door)

    return [Route(PATH, authorize, methods=["GET", "POST"])]


def _answer(admission: Admission, door: Door) -> Response:
    """Write the attributes of RFC 3580; in simulate mode everybody comes in, and the answer says what would be."""
    entry = Entry.ADMIT if door.simulate else admission.entry
    would = f"simulate: would be {admission.entry}; " if entry is not admission.entry else ""
    said = f"{would}{admission.meaning} ({admission.rule}, {admission.paragraph})"
    vlan = door.table.vlan if entry is Entry.ADMIT else door.table.quarantine_vlan
    if not vlan:
        return (
            Response(status_code=204)
            if entry is Entry.ADMIT
            else JSONResponse({"reply:Reply-Message": said}, 403)
        )
    return JSONResponse(
        {
            "reply:Tunnel-Type": "VLAN",
            "reply:Tunnel-Medium-Type": "IEEE-802",
            "reply:Tunnel-Private-Group-Id": vlan,
            "reply:Session-Timeout": str(door.table.seconds),
            "reply:Reply-Message": said[:240],
        }
    )


async def _station(request: Request) -> str | None:
    """Find whose session it is: Calling-Station-Id, else User-Name (a machine that logs in by its address)."""
    if request.method == "GET":
        return request.query_params.get("station", "")[:100]
    given = await attributes(request)
    if given is None:
        return None
    for name in ("Calling-Station-Id", "User-Name"):
        if values := given.get(name):
            return values[0][:100]
    return ""
