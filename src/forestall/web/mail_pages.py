"""The pages behind mails' links: opening one changes nothing, and only the machine itself can ask for its check.

No script; a form is posted, and what mail programs and scanners do with a link or a button has no effect (R35).
"""

import asyncio

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from forestall.clock import utc_now
from forestall.domain.notice import MessageId
from forestall.server.links import PATH, UPDATE_PATH, Links
from forestall.server.notice_page import NoticeDesk, NoticeView, Wish
from forestall.web.forms import FORM_HEADERS, form_of, from_of
from forestall.web.mail_texts import mail_texts
from forestall.web.markup import templates
from forestall.web.texts import language_of

_DONE = frozenset({Wish.TAKEN, Wish.JUST_MADE, Wish.DISOWNED})


def mail_routes(desk: NoticeDesk, links: Links) -> list[Route]:
    """Make the routes."""
    template = templates().get_template("notice.html")

    def page(
        request: Request, view: NoticeView | None, wish: Wish | None = None, status: int = 200
    ) -> Response:
        language = language_of(request.headers.get("accept-language", ""), request.query_params.get("lang"))
        html = template.render(
            view=view, wish=wish, t=mail_texts(language), language=language, path=request.url.path
        )
        return HTMLResponse(html, status if view else 404, headers=FORM_HEADERS)

    def read(request: Request) -> MessageId | None:
        return links.message(request.path_params["token"], utc_now())

    async def message(request: Request) -> Response:
        name = read(request)
        if name is None:
            return page(request, None)
        return page(request, await asyncio.to_thread(desk.message, name, from_of(request), utc_now()))

    async def wish(request: Request) -> Response:
        name, form = read(request), await form_of(request)
        machine, now = form.get("machine", ""), utc_now()
        if name is None or not machine:
            return page(request, None)
        if form.get("say") == "not-mine":
            sure = form.get("sure") == "yes"
            became = await asyncio.to_thread(desk.disown, name, machine, now, sure=sure)
        else:
            became = await asyncio.to_thread(desk.wish, name, machine, from_of(request), now)
        view = await asyncio.to_thread(desk.message, name, from_of(request), utc_now())
        return page(request, view, became, 200 if became in _DONE else 403)

    async def update(request: Request) -> Response:
        return page(request, await asyncio.to_thread(desk.update, request.path_params["campaign"], utc_now()))

    return [
        Route(PATH + "{token}", message, methods=["GET"]),
        Route(PATH + "{token}", wish, methods=["POST"]),
        Route(UPDATE_PATH + "{campaign}", update, methods=["GET"]),
    ]
