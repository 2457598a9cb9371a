"""A real SMTP server on loopback that answers as a test tells it, and keeps what it accepted."""

# ruff: noqa: ARG002, N802 - aiosmtpd calls these methods by these names with these arguments

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from forestall.notify.smtp import MailServer, Tls

HERE = Path(__file__).parent
CERTIFICATE = HERE / "tls" / "localhost.pem"


@dataclass
class MailHost:
    """One mail server. `answers` gives the words for some recipients' RCPT, `after_data` those for their message."""

    answers: dict[str, str] = field(default_factory=dict)
    after_data: dict[str, str] = field(default_factory=dict)
    sender_answer: str = ""
    tls: Tls = Tls.NONE
    login: tuple[str, str] | None = None
    accepted: list[tuple[str, EmailMessage]] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    on_message: Callable[[], None] | None = None
    """Called before a message is answered."""
    port: int = 0
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self.down()

    @property
    def server(self) -> MailServer:
        """Where it is."""
        ca = None if self.tls is Tls.NONE else CERTIFICATE
        return MailServer("localhost" if ca else "127.0.0.1", self.port, self.tls, ca)

    def up(self) -> None:
        """Answer, at the same address as before."""
        context = None
        if self.tls is not Tls.NONE:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(CERTIFICATE)
        options = {"authenticator": self._authentic, "auth_required": True} if self.login else {}
        if self.tls is Tls.STARTTLS:
            options |= {"tls_context": context, "require_starttls": True}
        self._talks: list[SMTP] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail host")
        self._thread.start()

        def talk() -> SMTP:
            self._talks.append(SMTP(self, hostname="mail.test", loop=self._loop, **options))
            return self._talks[-1]

        secure = context if self.tls is Tls.TLS else None
        listening = self._loop.create_server(talk, "127.0.0.1", self.port, ssl=secure)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]

    def down(self) -> None:
        """Be dead: nothing listens any more, and whoever was connected is cut off."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._thread = None
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for talk in self._talks:
            if talk.transport is not None:
                # A TLS transport that was closed twice has forgotten its connection (CPython 3.11): it is ending.
                with suppress(AttributeError):
                    talk.transport.abort()
        await self._server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def recipients(self) -> list[str]:
        """Who got something, in order."""
        return [recipient for recipient, _ in self.accepted]

    def _authentic(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object):
        right = (
            isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self.login
        )
        return AuthResult(success=right, handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ):
        if self.sender_answer:
            return self.sender_answer
        envelope.mail_from = address
        self.senders.append(address)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ):
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope):
        (recipient,) = envelope.rcpt_tos
        if self.on_message:
            self.on_message()
        if recipient in self.after_data:
            words = self.after_data[recipient]
            if words == "hang up":
                self.accepted.append((recipient, parsed(envelope.original_content)))
                server.transport.abort()
                return "250 never read"
            return words
        self.accepted.append((recipient, parsed(envelope.original_content)))
        return f"250 2.0.0 queued as {len(self.accepted)}"


def parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, _class=EmailMessage, policy=default)
