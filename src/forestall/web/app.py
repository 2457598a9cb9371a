"""The web application: the agents' interface and the pages."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from forestall.domain.errors import ForestallError
from forestall.protocol import Problem
from forestall.server.agents import AgentDesk
from forestall.server.overview import Overview
from forestall.trust.metadata import is_development, read_root
from forestall.trust.repository import Repository
from forestall.trust.roles import Role
from forestall.web.agent_api import agent_handlers
from forestall.web.pages import page_routes
from forestall.web.streams import Streams
from forestall.web.trust_files import trust_routes


def make_app(
    repository: Repository | None,
    pages: Mapping[str, Callable[[], Overview]],
    more: Iterable[Route] = (),
    keep_seconds: float = 2.0,
) -> Starlette:
    """Put the pages and the signed files together; errors are answered as problem documents (RFC 9457).

    Who looks at a page within `keep_seconds` of another is shown the same numbers.
    """
    return _application(
        [
            *(trust_routes(repository) if repository else []),
            *page_routes(pages, keep_seconds, partial(_development, repository)),
            *more,
        ]
    )


def make_agents_app(desk: AgentDesk, streams: Streams) -> ASGIApp:
    """Put together what agents reach: their interface and the signed files.

    What a fleet asks all day goes past Starlette, whose layers would cost as much as the rest of the answer.
    """
    handlers = agent_handlers(desk, streams)
    routes = [Route(path, handler, methods=[method]) for (method, path), handler in handlers.items()]
    others = _application([*routes, *(trust_routes(desk.repository) if desk.repository else [])])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handler = handlers.get((scope.get("method", ""), scope.get("path", "")))
        if handler is None:
            await others(scope, receive, send)
            return
        try:
            answer = await handler(Request(scope, receive))
        except ForestallError as error:
            answer = await _failed(Request(scope), error)
        except Exception as error:
            await (await _unforeseen(Request(scope), error))(scope, receive, send)
            raise
        await answer(scope, receive, send)  # of a stream only at its end: nothing more is kept meanwhile

    return app


def _application(routes: Sequence[BaseRoute]) -> Starlette:
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: _refused, ForestallError: _failed, Exception: _unforeseen},
    )


def _development(repository: Repository | None) -> bool:
    """Say whether the keys are those of a development ceremony: they protect nothing."""
    return repository is not None and is_development(read_root(repository.newest(Role.ROOT)).signed)


async def _refused(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    return _problem(status, detail or "Refused", "")


async def _failed(_request: Request, error: Exception) -> Response:
    return _problem(503, "Not now", str(error), {"Retry-After": "60"})


async def _unforeseen(_request: Request, _error: Exception) -> Response:
    return _problem(500, "A fault in Forestall", "It was logged; the same request may work later.")


def _problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    body = msgspec.json.encode(Problem(title=title, detail=detail, status=status))
    return Response(body, status, headers, media_type="application/problem+json")
