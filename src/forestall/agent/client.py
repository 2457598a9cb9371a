"""Talks to the server over HTTP: time limits, size limits, no proxies, no redirects, own trust store."""

import contextlib
import http.client
import ssl
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from forestall import protocol
from forestall.agent.debian import printable
from forestall.clock import stopwatch
from forestall.domain.errors import InputError

_CONNECT_SECONDS = 20
_TOTAL_SECONDS = 60
_MOST_BYTES = 4 * 1024 * 1024
_TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
"""The system's trust store by name: an environment variable cannot put another in its place (R38)."""

Answer = TypeVar("Answer", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The server could not be asked, or said no; `retry_after` is its own wish."""

    reason: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is."""

    scheme: str
    host: str
    port: int
    prefix: str


def server_at(url: str) -> Server:
    """Read the server's address.

    Raises:
        InputError: it is not `http(s)://host[:port][/path]`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InputError(f"{url!r} is no address: use https://host[:port]") from None
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        raise InputError(f"{url!r} is no address of a server: use https://host[:port]")
    default = 443 if parts.scheme == "https" else 80
    return Server(parts.scheme, parts.hostname, port or default, parts.path.rstrip("/"))


def enrol(server: Server, request: protocol.EnrolRequest) -> protocol.EnrolAnswer | NoAnswer:
    """Trade a token for an identity."""
    return _ask(server, "POST", protocol.ENROL, request, protocol.EnrolAnswer, None)


def check_in(server: Server, credential: str, report: protocol.CheckIn) -> protocol.CheckInAnswer | NoAnswer:
    """Report how the machine stands and hear what is wanted."""
    return _ask(server, "POST", protocol.CHECK_IN, report, protocol.CheckInAnswer, credential)


def put_inventory(server: Server, credential: str, report: protocol.InventoryReport) -> NoAnswer | None:
    """Send the whole package list."""
    answer = _exchange(server, "PUT", protocol.INVENTORY, report, credential)
    return answer if isinstance(answer, NoAnswer) else None


def _ask(
    server: Server, method: str, path: str, body: msgspec.Struct, answer: type[Answer], credential: str | None
) -> Answer | NoAnswer:
    content = _exchange(server, method, path, body, credential)
    if isinstance(content, NoAnswer):
        return content
    try:
        return msgspec.json.decode(content, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return NoAnswer(f"{server.host} answered what this agent does not understand: {error}")


def _exchange(
    server: Server, method: str, path: str, body: msgspec.Struct, credential: str | None
) -> bytes | NoAnswer:
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
    if credential is not None:
        headers["Authorization"] = credential
    deadline = stopwatch() + _TOTAL_SECONDS
    connection = _connection(server)
    try:
        connection.request(method, server.prefix + path, msgspec.json.encode(body), headers)
        response = connection.getresponse()
        content = _read(response, deadline)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(error) or type(error).__name__
        return NoAnswer(f"{server.host} port {server.port} cannot be reached: {printable(reason, 200)}")
    finally:
        connection.close()
    if content is None:
        return NoAnswer(f"{server.host} answered too much or too slowly")
    if not 200 <= response.status < 300:
        return _refused(server, response, content)
    return content


def _connection(server: Server) -> http.client.HTTPConnection:
    if server.scheme == "http":
        return http.client.HTTPConnection(server.host, server.port, timeout=_CONNECT_SECONDS)
    return http.client.HTTPSConnection(
        server.host, server.port, timeout=_CONNECT_SECONDS, context=tls_context()
    )


def tls_context() -> ssl.SSLContext:
    """Trust the system's store by name; on a system without one, nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with contextlib.suppress(OSError):
        context.load_verify_locations(_TRUSTED)
    return context


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes | None:
    content = bytearray()
    while chunk := response.read1(65_536):
        content += chunk
        if len(content) > _MOST_BYTES or stopwatch() > deadline:
            return None
    return bytes(content)


def _refused(server: Server, response: http.client.HTTPResponse, content: bytes) -> NoAnswer:
    try:
        problem = msgspec.json.decode(content, type=protocol.Problem)
        said = f"{problem.title}: {problem.detail}"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = http.client.responses.get(response.status, "no reason given")
    asked = response.getheader("Retry-After", "").strip()
    pause = (
        timedelta(seconds=int(asked)) if asked.isascii() and asked.isdecimal() and len(asked) < 9 else None
    )
    return NoAnswer(f"{server.host} refused ({response.status}): {printable(said, 400)}", pause)
