"""The agents' interface: bytes in, one struct parsed, one call, bytes out (docs/agent-protocol.md).

Identity is the credential that came with the request; a field of the body is never believed (R22).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from forestall import protocol
from forestall.clock import utc_now
from forestall.domain.device import DeviceId
from forestall.server.agents import AgentDesk
from forestall.server.check_ins import Caller, Unheard
from forestall.web.check_in_queue import CheckInQueue, Full

_T = TypeVar("_T")


class _Refused(Exception):  # noqa: N818 - not an error of ours: an answer
    """The request gets this answer and nothing else happens."""

    def __init__(self, status: int, title: str, detail: str, retry_after: str = "") -> None:
        super().__init__(title)
        self.problem = protocol.Problem(title=title, detail=detail, status=status)
        self.headers = {"Retry-After": retry_after} if retry_after else {}


def _stranger() -> _Refused:
    return _Refused(401, "Who is there?", "Enrol first: forestall-agent enrol --server URL --token TOKEN")


def _busy() -> _Refused:
    return _Refused(503, "Busy", "Too many speak at once, or this machine twice; come again later", "30")


def agent_routes(desk: AgentDesk) -> list[Route]:
    """Make the routes; all work on the database happens in threads, check-ins many to a commit."""
    queue = CheckInQueue(lambda callers: desk.hear(callers, utc_now()))

    async def enrol(request: Request) -> Response:
        message = _parse(await _body(request), protocol.EnrolRequest)
        answer = await asyncio.to_thread(desk.enrol, message, utc_now())
        if answer is None:
            raise _Refused(403, "The token is not valid", "Ask for a new one: forestall enroll token")
        return _answer(answer)

    async def check_in(request: Request) -> Response:
        device, secret = _claim(request)
        body = await _body(request)
        caller = Caller(device, secret, _parse(body, protocol.CheckIn))
        try:
            reply = await queue.put(caller, len(body))
        except Full:
            raise _busy() from None
        if reply is Unheard.STRANGER:
            raise _stranger()
        if isinstance(reply, Unheard):
            raise _busy()
        return _answer(reply)

    async def inventory(request: Request) -> Response:
        device = await _identify(request, desk)
        message = _parse(await _body(request), protocol.InventoryReport)
        await asyncio.to_thread(desk.take_inventory, device, message, utc_now())
        return Response(status_code=204)

    return [
        Route(protocol.ENROL, _guarded(enrol), methods=["POST"]),
        Route(protocol.CHECK_IN, _guarded(check_in), methods=["POST"]),
        Route(protocol.INVENTORY, _guarded(inventory), methods=["PUT"]),
    ]


_Handler = Callable[[Request], Awaitable[Response]]


def _guarded(handler: _Handler) -> _Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except _Refused as refused:
            body = msgspec.json.encode(refused.problem)
            return Response(
                body, refused.problem.status, refused.headers, media_type="application/problem+json"
            )

    return guarded


async def _body(request: Request) -> bytes:
    """Read the body, never more than the limit, whatever length the other side claims."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > protocol.MAX_BODY_BYTES:
            raise _Refused(413, "Too long", f"At most {protocol.MAX_BODY_BYTES} bytes")
    return bytes(body)


def _parse(body: bytes, shape: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Refused(400, "Not a message of this protocol", str(error)[:300]) from error


def _claim(request: Request) -> tuple[DeviceId, str]:
    """Read which machine the request says it is of, and the secret that shows it."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    name, _, secret = credential.partition(":")
    if scheme.lower() == "bearer" and name and secret and len(credential) <= 512 and name.isprintable():
        return DeviceId(name), secret
    raise _stranger()


async def _identify(request: Request, desk: AgentDesk) -> DeviceId:
    device = await asyncio.to_thread(desk.identify, *_claim(request))
    if device is None:
        raise _stranger()
    return device


def _answer(message: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(message), media_type="application/json")
