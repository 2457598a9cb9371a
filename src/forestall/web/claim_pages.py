"""The pages of self-registration: one for the machine, one behind the mail's link; without script (P6.1).

Opening or prefetching a page changes nothing; a form on a foreign page is refused.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from forestall.clock import utc_now
from forestall.domain.ownership import Became
from forestall.server.claims import ClaimDesk
from forestall.server.links import CLAIM_PATH
from forestall.web.claim_texts import claim_texts
from forestall.web.forms import FORM_HEADERS, foreign, form_of, from_of
from forestall.web.markup import templates
from forestall.web.texts import language_of

PATH = "/mine"
_DONE = frozenset({Became.ASKED, Became.CONFIRMED})


def claim_routes(desk: ClaimDesk) -> list[Route]:
    """Make the routes, for the people's listener and for the fix-it room."""
    opened = templates()

    def page(name: str, request: Request, status: int = 200, **shown: object) -> Response:
        language = language_of(request.headers.get("accept-language", ""), request.query_params.get("lang"))
        html = opened.get_template(name).render(
            t=claim_texts(language), language=language, path=request.url.path, **shown
        )
        return HTMLResponse(html, status, headers=FORM_HEADERS)

    async def show(request: Request) -> Response:
        view = await asyncio.to_thread(desk.view, from_of(request))
        return page("mine.html", request, view=view, became=None)

    async def claim(request: Request) -> Response:
        if foreign(request):
            return Response("This form belongs to another page.", 403, media_type="text/plain")
        form = await form_of(request)
        language = language_of(request.headers.get("accept-language", ""), request.query_params.get("lang"))
        who = from_of(request)
        became = await asyncio.to_thread(desk.claim, who, form.get("address", ""), language, utc_now())
        view = await asyncio.to_thread(desk.view, who)
        return page("mine.html", request, 200 if became in _DONE else 403, view=view, became=became)

    async def see(request: Request) -> Response:
        claimed = await asyncio.to_thread(desk.see, request.path_params["token"], utc_now())
        return page("confirm.html", request, 200 if claimed else 404, claimed=claimed, done=False)

    async def confirm(request: Request) -> Response:
        if foreign(request):
            return Response("This form belongs to another page.", 403, media_type="text/plain")
        claimed = await asyncio.to_thread(desk.confirm, request.path_params["token"], utc_now())
        return page("confirm.html", request, 200 if claimed else 404, claimed=claimed, done=True)

    return [
        Route(PATH, show, methods=["GET"]),
        Route(PATH, claim, methods=["POST"]),
        Route(CLAIM_PATH + "{token}", see, methods=["GET"]),
        Route(CLAIM_PATH + "{token}", confirm, methods=["POST"]),
    ]
