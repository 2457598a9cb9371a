"""The queue of disagreements as a page (A18): who says what, since when, with what proof, and what a person can do."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from forestall.domain.errors import InputError
from forestall.server.disagreements import Disagreement
from forestall.web.disagree_texts import TEXTS, disagree_texts
from forestall.web.markup import templates
from forestall.web.pages import HEADERS
from forestall.web.texts import language_of

PATH = "/disagree"
_A_PAGE = 100
_LISTS: Mapping[str, Callable[[Disagreement], bool]] = {
    "open": lambda row: row.belief is None,
    "decided": lambda row: row.belief is not None,
    "told": lambda row: row.told,
}
"""What the page counts; each number leads to its list."""


def disagree_routes(gather: Callable[[str], Sequence[Disagreement]]) -> list[Route]:
    """Make the page; `gather` lists the queue of a campaign, or of all for none.

    It only shows: what a person decides is decided by the commands it names, which know who that person is.
    """
    template = templates().get_template("disagree.html")

    async def show(request: Request) -> Response:
        if not _is_here(request):
            return PlainTextResponse(
                TEXTS["elsewhere"][0] + "\n" + TEXTS["elsewhere"][1], 403, headers=HEADERS
            )
        campaign = request.query_params.get("campaign", "")
        try:
            rows = await asyncio.to_thread(gather, campaign)
        except InputError:
            rows, status = [], 404
        else:
            status = 200
        language = language_of(request.headers.get("accept-language", ""), request.query_params.get("lang"))
        chosen = request.query_params.get("list", "")
        shown = [row for row in rows if _LISTS.get(chosen, bool)(row)]
        number = _number(request.query_params.get("page", ""), len(shown))
        html = template.render(
            rows=shown[number * _A_PAGE : (number + 1) * _A_PAGE],
            counts={name: sum(map(belongs, rows)) for name, belongs in _LISTS.items()},
            campaigns=Counter(row.campaign for row in rows),
            asked={"campaign": campaign, "list": chosen, "lang": language},
            number=number,
            last=max(0, (len(shown) - 1) // _A_PAGE),
            t=disagree_texts(language),
            language=language,
        )
        return HTMLResponse(html, status, headers=HEADERS)

    return [Route(PATH, show)]


def _is_here(request: Request) -> bool:
    """Say whether it is asked for on the server itself: who is vulnerable is not for everybody who reads our pages."""
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _number(text: str, rows: int) -> int:
    """Read which page is asked for, counted from 0; the nearest there is."""
    asked = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return min(asked, max(0, (rows - 1) // _A_PAGE))
