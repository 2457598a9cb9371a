"""RADIUS accounting as it happens: FreeRADIUS posts each Start, Interim-Update and Stop through its REST module.

204 once it is committed; anything else makes FreeRADIUS keep its own answer back, and the RADIUS client sends again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from forestall.clock import utc_now
from forestall.domain.sighting import Sighting
from forestall.server.sessions import keep
from forestall.sightings.session import Clients, sightings_of
from forestall.store.database import Database
from forestall.web.group_commit import Full, GroupCommit
from forestall.web.radius_json import attributes, authentic

PATH = "/radius/accounting"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where sessions are kept, which RADIUS clients are known, and the password of those who may post."""

    database: Database
    clients: Clients
    password: str


def accounting_routes(desk: Desk) -> list[Route]:
    """Make the route; many sessions are committed together, and each is answered after its commit."""

    def hear(batch: Sequence[Sequence[Sighting]]) -> Sequence[None]:
        keep(desk.database, batch)
        return [None] * len(batch)

    queue: GroupCommit[Sequence[Sighting], None] = GroupCommit(hear)

    async def account(request: Request) -> Response:
        if not authentic(request, desk.password):
            return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="forestall"'})
        given = await attributes(request)
        if given is None:
            return Response(status_code=400)
        seen = sightings_of(given, desk.clients, utc_now())
        if seen:
            try:
                await queue.put(seen, 1_000 * len(seen))
            except Full:
                return Response(status_code=503, headers={"Retry-After": "5"})
        return Response(status_code=204)

    return [Route(PATH, account, methods=["POST"])]
