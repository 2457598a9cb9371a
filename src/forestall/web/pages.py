"""The pages for people: server-rendered, no script; hostile names are escaped by the templates."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from forestall.clock import stopwatch
from forestall.server.overview import Overview
from forestall.web.curve import curve
from forestall.web.markup import templates
from forestall.web.texts import language_of, texts

_HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_ANSWERS = (
    ("clean", ("clean",)),
    ("trying", ("trying",)),
    ("waiting", ("waiting",)),
    ("quiet", ("quiet", "silent")),
    ("harmed", ("failed", "broke")),
    ("refuted", ("refuted",)),
)
"""Columns of a test, with the verdicts that each counts."""


def page_routes(
    pages: Mapping[str, Callable[[], Overview]], keep_seconds: float, development: Callable[[], bool]
) -> list[Route | Mount]:
    """Make a status page for each path, and what the pages need; each says so where keys are for trying out only.

    Gathering looks at everything there is, so all who look within `keep_seconds` are shown the same.
    """
    known = templates(curve=curve, links=list(pages), development=development, answers=_ANSWERS)
    template = known.get_template("status.html")

    def page(gather: Callable[[], Overview]) -> Callable[[Request], object]:
        async def show(request: Request) -> Response:
            view = await asyncio.to_thread(gather)
            language = language_of(
                request.headers.get("accept-language", ""), request.query_params.get("lang")
            )
            html = template.render(view=view, t=texts(language), language=language, path=request.url.path)
            return HTMLResponse(html, headers=HEADERS)

        return show

    static = Mount("/static", StaticFiles(directory=_HERE / "static"))
    return [*(Route(path, page(_shared(gather, keep_seconds))) for path, gather in pages.items()), static]


def _shared(gather: Callable[[], Overview], keep_seconds: float) -> Callable[[], Overview]:
    """Gather at most once in a while, and never twice at the same time."""
    lock, kept = threading.Lock(), deque[tuple[float, Overview]](maxlen=1)

    def shared() -> Overview:
        with lock:
            if not kept or stopwatch() - kept[0][0] >= keep_seconds:
                kept.append((stopwatch(), gather()))
            return kept[0][1]

    return shared
