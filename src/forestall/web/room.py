"""The fix-it room's pages: one page without script, one button. Served on an address of its own (A13).

Opening or prefetching a page changes nothing. The button is a POST, counts only for the machine it comes from, and
can do no more than have that machine checked; a form on a foreign page is refused.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from forestall.clock import utc_now
from forestall.server.room import RoomDesk
from forestall.web.claim_pages import PATH
from forestall.web.forms import FORM_HEADERS, foreign, from_of
from forestall.web.markup import templates
from forestall.web.room_texts import room_texts
from forestall.web.texts import LANGUAGES, language_of

_HERE = Path(__file__).parent


def make_room(desk: RoomDesk, more: Sequence[Route] = ()) -> Starlette:
    """Make the application: this page, its style sheet, `more` of ours; every other path leads here."""
    template = templates().get_template("room.html")

    async def show(request: Request) -> Response:
        view = await asyncio.to_thread(desk.view, from_of(request), utc_now())
        accepted = request.headers.get("accept-language") or (view.language if view else "")
        language = language_of(accepted, request.query_params.get("lang"))
        html = template.render(
            view=view,
            t=room_texts(language),
            language=language,
            other=LANGUAGES[language == "en"],
            patches=desk.patches,
            mine=PATH if more else "",
        )
        return HTMLResponse(html, headers=FORM_HEADERS)

    async def check(request: Request) -> Response:
        if foreign(request):
            return Response("This form belongs to another page.", 403, media_type="text/plain")
        await asyncio.to_thread(desk.check, from_of(request), utc_now())
        language = request.query_params.get("lang", "")
        return RedirectResponse("/?lang=" + language if language in LANGUAGES else "/", 303)

    async def lead_here(_request: Request) -> Response:
        return RedirectResponse("/", 302)

    static = Mount("/static", StaticFiles(directory=_HERE / "static"))
    routes = [
        Route("/", show),
        Route("/check", check, methods=["POST"]),
        static,
        *more,
        Route("/{path:path}", lead_here),
    ]
    return Starlette(routes=routes)
