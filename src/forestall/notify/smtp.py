"""Hands messages to a mail server over a few connections and says what it answered (RFC 5321).

Only the server's own word counts: 2xx accepted, 5xx for a recipient or a message refused, all else is tried again.
Trouble that is not about one recipient (no connection, no login, our sender refused) is nobody's refusal.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import aiosmtplib

from forestall.domain.errors import InputError
from forestall.domain.notice import Answer
from forestall.domain.record import Outcome
from forestall.private_file import password_in

CONNECTIONS = 4
_ANSWER_WITHIN_SECONDS = 30.0
_LONGEST_ANSWER = 300
_PERMANENT = range(500, 600)
_CLOSING = 421


class Tls(StrEnum):
    """How the connection is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over."""

    host: str
    port: int
    tls: Tls = Tls.STARTTLS
    ca_file: Path | None = None
    """Trusted instead of the system's authorities."""
    user: str = ""
    password_file: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Parcel(NamedTuple):
    """A message on its way to one recipient."""

    sender: str
    recipient: str
    content: bytes


class Courier:
    """A few connections to one mail server, opened when needed and kept between batches."""

    def __init__(self, server: MailServer, connections: int = CONNECTIONS) -> None:
        self._server = server
        self._runner = asyncio.Runner()
        self._password = password_in(server.password_file) if server.password_file else ""
        self._tls = None if server.tls is Tls.NONE else _context(server)
        self._lines = [self._line() for _ in range(connections)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take leave of the server."""
        self._runner.run(self._leave())
        self._runner.close()

    def hand_over(self, parcels: Sequence[Parcel], within_seconds: float = 120.0) -> list[Answer]:
        """Hand parcels over and give an answer for each, in order; what is not begun in time was not handed over."""
        return self._runner.run(self._hand_over(parcels, within_seconds))

    def greet(self) -> str:
        """Connect and log in, as a check; gives the trouble, empty where there is none."""
        return self._runner.run(self._connected(self._lines[0]))

    async def _hand_over(self, parcels: Sequence[Parcel], within_seconds: float) -> list[Answer]:
        answers: dict[int, Answer] = {}
        queue = deque(enumerate(parcels))
        ends_at = asyncio.get_running_loop().time() + within_seconds
        troubles = await asyncio.gather(*(self._work(line, queue, answers, ends_at) for line in self._lines))
        trouble = next(filter(None, troubles), f"{self._server}: not reached in time")
        left = Answer(Outcome.FAILED, trouble, reached=False)
        return [answers.get(place, left) for place in range(len(parcels))]

    async def _work(
        self,
        line: aiosmtplib.SMTP,
        queue: deque[tuple[int, Parcel]],
        answers: dict[int, Answer],
        ends_at: float,
    ) -> str:
        """Take parcels from the queue until it is empty, time is over, or the server is in trouble; says which."""
        proven = line.is_connected
        while queue and asyncio.get_running_loop().time() < ends_at:
            if trouble := await self._connected(line):
                return trouble
            if not queue:
                break
            place, parcel = queue.popleft()
            answer = await self._deliver(line, parcel)
            if answer.reached:
                answers[place] = answer
            else:
                queue.appendleft((place, parcel))
                if not proven:
                    return answer.detail
            # A server may end a connection that was idle or did its share: a new one shows whether it is in trouble.
            proven = answer.reached
        return ""

    async def _connected(self, line: aiosmtplib.SMTP) -> str:
        if line.is_connected:
            return ""
        try:
            await line.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return f"{self._server} does not take mail: {_said(error)}"
        return ""

    async def _deliver(self, line: aiosmtplib.SMTP, parcel: Parcel) -> Answer:
        """Hand one parcel over; trouble before the recipient is named is no answer for this parcel."""
        begun = False
        try:
            await line.mail(parcel.sender)
            begun = True
            await line.rcpt(parcel.recipient)
        except aiosmtplib.SMTPResponseException as error:
            return await self._refused(line, error, reached=begun)
        except (aiosmtplib.SMTPException, OSError) as error:
            line.close()
            return Answer(Outcome.FAILED, f"{self._server} broke off: {_said(error)}", reached=begun)
        try:
            accepted = await line.data(parcel.content)
        except aiosmtplib.SMTPResponseException as error:
            return await self._refused(line, error, reached=True)
        except (aiosmtplib.SMTPException, OSError) as error:
            line.close()
            return Answer(Outcome.FAILED, f"{self._server} broke off: {_said(error)}", doubtful=True)
        return Answer(
            Outcome.DONE, f"accepted by {self._server}: {_text(f'{accepted.code} {accepted.message}')}"
        )

    async def _refused(
        self, line: aiosmtplib.SMTP, error: aiosmtplib.SMTPResponseException, *, reached: bool
    ) -> Answer:
        await self._reset(line, error.code)
        outcome = Outcome.REFUSED if reached and error.code in _PERMANENT else Outcome.FAILED
        return Answer(outcome, f"{self._server}: {_said(error)}", reached=reached)

    async def _reset(self, line: aiosmtplib.SMTP, code: int) -> None:
        """Make a connection ready for the next message; one that is not is closed."""
        try:
            if code == _CLOSING:
                line.close()
            else:
                await line.rset()
        except (aiosmtplib.SMTPException, OSError):
            line.close()

    async def _leave(self) -> None:
        for line in self._lines:
            try:
                if line.is_connected:
                    await line.quit()
            except (aiosmtplib.SMTPException, OSError):
                pass
            finally:
                line.close()

    def _line(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=self._password or None,
            local_hostname=_own_name(),
            timeout=_ANSWER_WITHIN_SECONDS,
            use_tls=server.tls is Tls.TLS,
            start_tls=server.tls is Tls.STARTTLS,
            tls_context=self._tls,
        )


def _context(server: MailServer) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=server.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"{server.ca_file}: is no file of certificates: {error}") from error


def _own_name() -> str:
    """Give the name to greet with; an address literal where this machine has none that may be sent."""
    name = socket.gethostname()
    return name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "[127.0.0.1]"


def _said(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _text(f"{error.code} {error.message}")
    return _text(str(error) or type(error).__name__)


def _text(text: str) -> str:
    """Keep a server's words on one printable line."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(printable.split())[:_LONGEST_ANSWER]
