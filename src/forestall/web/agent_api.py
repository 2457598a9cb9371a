"""The agents' interface: bytes in, one struct parsed, one call, bytes out (docs/agent-protocol.md).

Identity is the certificate of the connection; a field of the body is never believed (R22).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from forestall import protocol
from forestall.clock import utc_now
from forestall.domain.identity import HEARD, Certificate, Recognition
from forestall.server.agents import AgentDesk, Unfit
from forestall.server.check_ins import Caller
from forestall.web.check_in_queue import CheckInQueue, Full
from forestall.web.streams import Streams

_T = TypeVar("_T")


class _Refused(Exception):  # noqa: N818 - not an error of ours: an answer
    """The request gets this answer and nothing else happens."""

    def __init__(self, status: int, title: str, detail: str, retry_after: str = "") -> None:
        super().__init__(title)
        self.problem = protocol.Problem(title=title, detail=detail, status=status)
        self.headers = {"Retry-After": retry_after} if retry_after else {}


_ENROL = "forestall-agent enrol --server URL --token TOKEN"
_UNHEARD = {
    Recognition.STRANGER: (401, "Who is there?", f"Enrol first: {_ENROL}"),
    Recognition.EXPIRED: (401, "The certificate has ended", f"Renew it: POST {protocol.RENEW}"),
    Recognition.TOO_LATE: (401, "The certificate ended too long ago to be renewed", f"Enrol again: {_ENROL}"),
    Recognition.REVOKED: (403, "This machine's certificate was revoked", "Ask whoever manages it"),
    Recognition.CLONED: (403, "Two machines speak as this one", f"Enrol each of them again: {_ENROL}"),
}


def _unheard(verdict: Recognition) -> _Refused:
    if verdict is Recognition.SUPERSEDED:
        return _busy()
    return _Refused(*_UNHEARD[verdict])


def _crowded() -> _Refused:
    return _Refused(503, "No bed is free", "Check in every four hours instead; come again later", "3600")


def _busy() -> _Refused:
    return _Refused(503, "Busy", "Too many speak at once, or this machine twice; come again later", "30")


def _unfit(why: Unfit) -> _Refused:
    if why is Unfit.TOKEN:
        return _Refused(403, "The token is not valid", "Ask for a new one: forestall enroll token")
    return _Refused(
        400, "Not a request for a certificate", "Send PKCS#10 in PEM, for a P-256 key, signed by it"
    )


Handler = Callable[[Request], Awaitable[ASGIApp]]


def agent_handlers(desk: AgentDesk, streams: Streams) -> dict[tuple[str, str], Handler]:
    """Make all answers, by method and path; work on the database happens in threads."""

    async def authority(_request: Request) -> Response:
        return Response(desk.authority.pem, media_type="application/x-pem-file")

    async def enrol(request: Request) -> Response:
        message = _parse(await _body(request), protocol.EnrolRequest)
        return _answer(await asyncio.to_thread(desk.enrol, message, utc_now()))

    async def renew(request: Request) -> Response:
        certificate = _certificate(request)
        message = _parse(await _body(request), protocol.RenewRequest)
        return _answer(await asyncio.to_thread(desk.renew, certificate, message, utc_now()))

    async def inventory(request: Request) -> Response:
        certificate = _certificate(request)
        verdict = await asyncio.to_thread(desk.recognise, certificate, utc_now())
        if verdict not in HEARD:
            raise _unheard(verdict)
        message = _parse(await _body(request), protocol.InventoryReport)
        await asyncio.to_thread(desk.take_inventory, certificate.device, message, utc_now())
        return Response(status_code=204)

    return {
        ("GET", protocol.AUTHORITY): authority,
        ("POST", protocol.ENROL): _guarded(enrol),
        ("POST", protocol.RENEW): _guarded(renew),
        ("POST", protocol.CHECK_IN): _guarded(_hearing(desk)),
        ("PUT", protocol.INVENTORY): _guarded(inventory),
        ("GET", protocol.WAKE): _guarded(_waking(desk, streams)),
    }


def _hearing(desk: AgentDesk) -> Handler:
    """Hear check-ins, many to a commit."""
    queue = CheckInQueue(lambda callers: desk.hear(callers, utc_now()))

    async def check_in(request: Request) -> Response:
        certificate = _certificate(request)
        body = await _body(request)
        try:
            reply = await queue.put(Caller(certificate, _parse(body, protocol.CheckIn)), len(body))
        except Full:
            raise _busy() from None
        if reply is None:
            raise _busy()
        return _answer(reply)

    return check_in


def _waking(desk: AgentDesk, streams: Streams) -> Handler:
    """Let machines sleep on a stream each."""

    async def wake(request: Request) -> ASGIApp:
        certificate = _certificate(request)
        verdict = await asyncio.to_thread(desk.recognise, certificate, utc_now())
        if verdict not in HEARD:
            raise _unheard(verdict)
        if streams.full():
            raise _crowded()

        async def sleep(_scope: Scope, _receive: Receive, _send: Send) -> None:
            streams.hold(certificate.device, request.state.take_over)

        return sleep

    return wake


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> ASGIApp:
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


def _certificate(request: Request) -> Certificate:
    """Read whose connection it is; a machine without a certificate may only enrol."""
    shown: Certificate | None = request.state.certificate
    if shown is None:
        raise _unheard(Recognition.STRANGER)
    return shown


def _answer(reply: msgspec.Struct | Recognition | Unfit) -> Response:
    if isinstance(reply, Recognition):
        raise _unheard(reply)
    if isinstance(reply, Unfit):
        raise _unfit(reply)
    return Response(msgspec.json.encode(reply), media_type="application/json")
