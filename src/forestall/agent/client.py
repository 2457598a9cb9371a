"""Talks to the server over mutual TLS: time limits, size limits, no proxies, no redirects, one authority."""

import contextlib
import http.client
import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from forestall import protocol
from forestall.agent.debian import printable
from forestall.clock import stopwatch
from forestall.domain.errors import InputError
from forestall.trust.device_key import fingerprint_of

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
    status: int = 0
    """Of the refusal, as HTTP numbers it."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is."""

    scheme: str
    host: str
    port: int
    prefix: str


@dataclass(frozen=True, slots=True)
class Line:
    """The way to the server: where it is, whom we take for it, and who we are on it."""

    server: Server
    context: ssl.SSLContext


def server_at(url: str) -> Server:
    """Read the address of a server or a mirror.

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


def authority_of(server: Server, fingerprint: str) -> str | NoAnswer:
    """Ask a server for its authority; only the one that the token names is taken, whoever answers."""
    content = _exchange(Line(server, _unknown()), "GET", protocol.AUTHORITY, None)
    if isinstance(content, NoAnswer):
        return content
    pem = content.decode("ascii", "replace")
    try:
        found = fingerprint_of(pem)
    except ValueError:
        found = "no certificate"
    if found != fingerprint:
        return NoAnswer(
            f"{server.host} is not the server that the token is of (its authority is {found}): somebody stands "
            "between, or the authority was made anew; ask for a new token"
        )
    return pem


def enrol(line: Line, request: protocol.EnrolRequest) -> protocol.EnrolAnswer | NoAnswer:
    """Trade a token for an identity."""
    return _ask(line, protocol.ENROL, request, protocol.EnrolAnswer)


def renew(line: Line, request: protocol.RenewRequest) -> protocol.RenewAnswer | NoAnswer:
    """Ask for the next certificate."""
    return _ask(line, protocol.RENEW, request, protocol.RenewAnswer)


def check_in(line: Line, report: protocol.CheckIn) -> protocol.CheckInAnswer | NoAnswer:
    """Report how the machine stands and hear what is wanted."""
    return _ask(line, protocol.CHECK_IN, report, protocol.CheckInAnswer)


def put_inventory(line: Line, report: protocol.InventoryReport) -> NoAnswer | None:
    """Send the whole package list."""
    answer = _exchange(line, "PUT", protocol.INVENTORY, report)
    return answer if isinstance(answer, NoAnswer) else None


def _ask(line: Line, path: str, body: msgspec.Struct, answer: type[Answer]) -> Answer | NoAnswer:
    content = _exchange(line, "POST", path, body)
    if isinstance(content, NoAnswer):
        return content
    try:
        return msgspec.json.decode(content, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return NoAnswer(f"{line.server.host} answered what this agent does not understand: {error}")


def _exchange(line: Line, method: str, path: str, body: msgspec.Struct | None) -> bytes | NoAnswer:
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
    server = line.server
    content = b"" if body is None else msgspec.json.encode(body)
    deadline = stopwatch() + _TOTAL_SECONDS
    connection = connection_to(line)
    try:
        connection.request(method, server.prefix + path, content, headers)
        response = connection.getresponse()
        found = _read(response, deadline)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(error) or type(error).__name__
        return NoAnswer(f"{server.host} port {server.port} cannot be reached: {printable(reason, 200)}")
    finally:
        connection.close()
    if found is None:
        return NoAnswer(f"{server.host} answered too much or too slowly")
    if not 200 <= response.status < 300:
        return refusal(server, response, found)
    return found


def connection_to(line: Line) -> http.client.HTTPSConnection:
    """Prepare a connection; it is made with the first request."""
    server = line.server
    return http.client.HTTPSConnection(
        server.host, server.port, timeout=_CONNECT_SECONDS, context=line.context
    )


def pinned(authority: str, own: Path | None = None) -> ssl.SSLContext:
    """Trust a server of this authority and no other; `own` is the file of this machine's certificate and key.

    Raises:
        OSError, ValueError: one of them is none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    trust(context, authority)
    if own is not None:
        context.load_cert_chain(own)
    return context


def trust(context: ssl.SSLContext, authority: str) -> None:
    """Trust a server's authority too, a company's intermediate one as well.

    Raises:
        OSError, ValueError: it is none.
    """
    context.load_verify_locations(cadata=authority)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def tls_context() -> ssl.SSLContext:
    """Trust the system's store by name; on a system without one, nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with contextlib.suppress(OSError):
        context.load_verify_locations(_TRUSTED)
    return context


def _unknown() -> ssl.SSLContext:
    """Make a context for the one question whose answer is checked by other means."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes | None:
    content = bytearray()
    while chunk := response.read1(65_536):
        content += chunk
        if len(content) > _MOST_BYTES or stopwatch() > deadline:
            return None
    return bytes(content)


def refusal(server: Server, response: http.client.HTTPResponse, content: bytes) -> NoAnswer:
    """Read what the server said instead of an answer."""
    try:
        problem = msgspec.json.decode(content, type=protocol.Problem)
        said = f"{problem.title}: {problem.detail}"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = http.client.responses.get(response.status, "no reason given")
    asked = response.getheader("Retry-After", "").strip()
    pause = (
        timedelta(seconds=int(asked)) if asked.isascii() and asked.isdecimal() and len(asked) < 9 else None
    )
    reason = f"{server.host} refused ({response.status}): {printable(said, 400)}"
    return NoAnswer(reason, pause, response.status)
