"""The pages behind mails' links: opening one changes nothing, and only the machine itself can ask for its check.

No script; a form is posted, and what mail programs and scanners do with a link or a button has no effect (R35).
"""

import asyncio
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from forestall.clock import utc_now
from forestall.domain.notice import MessageId
from forestall.server.links import PATH, UPDATE_PATH, Links
from forestall.server.notice_page import NoticeDesk, NoticeView, Wish
from forestall.web.mail_texts import mail_texts
from forestall.web.pages import HEADERS
from forestall.web.texts import language_of

_HEADERS = HEADERS | {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"].replace(
        "form-action 'none'", "form-action 'self'"
    )
}
_MOST_BYTES = 4_096


def mail_routes(desk: NoticeDesk, links: Links) -> list[Route]:
    """Make the routes."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("notice.html")

    def page(
        request: Request, view: NoticeView | None, wish: Wish | None = None, status: int = 200
    ) -> Response:
        language = language_of(request.headers.get("accept-language", ""), request.query_params.get("lang"))
        html = template.render(
            view=view, wish=wish, t=mail_texts(language), language=language, path=request.url.path
        )
        return HTMLResponse(html, status if view else 404, headers=_HEADERS)

    def read(request: Request) -> MessageId | None:
        return links.message(request.path_params["token"], utc_now())

    async def message(request: Request) -> Response:
        name = read(request)
        if name is None:
            return page(request, None)
        return page(request, await asyncio.to_thread(desk.message, name, _address(request), utc_now()))

    async def wish(request: Request) -> Response:
        name, machine = read(request), await _machine(request)
        if name is None or not machine:
            return page(request, None)
        became = await asyncio.to_thread(desk.wish, name, machine, _address(request), utc_now())
        view = await asyncio.to_thread(desk.message, name, _address(request), utc_now())
        return page(request, view, became, 200 if became in {Wish.TAKEN, Wish.JUST_MADE} else 403)

    async def update(request: Request) -> Response:
        return page(request, await asyncio.to_thread(desk.update, request.path_params["campaign"], utc_now()))

    return [
        Route(PATH + "{token}", message, methods=["GET"]),
        Route(PATH + "{token}", wish, methods=["POST"]),
        Route(UPDATE_PATH + "{campaign}", update, methods=["GET"]),
    ]


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def _machine(request: Request) -> str:
    """Read which machine the form names; empty where it is no such form, or too long for one."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return ""
    return parse_qs(body.decode("ascii", "replace"), max_num_fields=10).get("machine", [""])[0]
