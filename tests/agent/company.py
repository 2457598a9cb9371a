"""The server's side of the agent protocol on loopback: it says and signs what a test tells it, and remembers."""

import ssl
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from laboratory.office import Office, approval_for, paper_of

from certificates import authority, certificate
from forestall import protocol
from forestall.agent import identity, state, trust
from forestall.agent.state import State
from forestall.domain.identity import Certificate, new_serial
from forestall.trust.device_ca import key_of
from forestall.trust.device_key import new_key, read_certificate, request_for

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
TOKEN = f"t-1.{authority().fingerprint}"


@dataclass
class Clock:
    """A clock that a test sets."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **length: float) -> None:
        self.now += timedelta(**length)


@dataclass
class Company:
    """What the server would answer, and all that it was told."""

    clock: Clock = field(default_factory=Clock)
    orders: list[protocol.OrderMessage] = field(default_factory=list)
    reports: list[protocol.CheckIn] = field(default_factory=list)
    inventories: list[protocol.InventoryReport] = field(default_factory=list)
    speakers: list[Certificate] = field(default_factory=list)
    """Whose certificate came with each word."""
    refuse: tuple[int, dict[str, str], bytes] | None = None
    """Status, headers and body of every answer instead of the right one."""
    rings: bytes | None = None
    """What is said on a wake-up stream, before it ends; there is none without."""
    silent: bool = False
    """No word is answered; the signed files are still there, as behind a mirror."""
    once: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    """The same for the next word to a path alone."""
    heard: list[str] = field(default_factory=list)
    """The paths of all words."""
    next_check_seconds: int = 14_400
    known_sha256: str = ""
    url: str = ""
    device: str = "d-1"
    hints: dict[str, protocol.OrderHint] = field(default_factory=dict)
    """By campaign, instead of hints that say what the order says."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self.office = Office(Path(self._folder.name) / "trust", self.clock())
        self._published: object = None
        self._issued = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = authority().context(Path(self._folder.name), ["127.0.0.1"])
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go down; nothing answers any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._folder.cleanup()

    def enrol(self, directory: Path) -> None:
        """Put certificate and root into an agent's directory, as enrolment does."""
        key = new_key()
        made = identity.keep(directory, self.url, authority().pem, key, self.issue(request_for(key)))
        state.save(directory, State(certificate=made.serial))
        trust.keep_root(directory, self.office.root.decode(), "")

    def issue(self, request: str) -> str:
        """Sign a certificate, as enrolment and renewal do."""
        key = key_of(request)
        assert key is not None
        self._issued += 1
        named = certificate(self.device, self.clock(), serial=new_serial(0, self._issued, self.clock()))
        return authority().issue(key, named)

    def publish(self) -> None:
        """Sign the orders of now, whatever they say, and an approval for each."""
        wanted = [msgspec.json.encode(each) for each in self.orders]
        if self._published != (wanted, self.clock()):
            papers = [paper_of(each) for each in self.orders]
            back_to = [each.back_to or None for each in self.orders]
            approvals = [approval_for(paper, back_to=to) for paper, to in zip(papers, back_to, strict=True)]
            self.office.sign(papers, approvals, self.clock())
            self._published = (wanted, self.clock())

    def serve_file(self, path: str) -> bytes | None:
        """Serve a signed file, or what is said on a wake-up stream."""
        if path == protocol.WAKE:
            return self.rings
        file = self.office.repository.directory / path.removeprefix(f"{protocol.TRUST}/")
        return file.read_bytes() if file.is_file() else None

    def answer(self, path: str, body: bytes) -> bytes:
        """Answer as the protocol says."""
        if path == protocol.ENROL:
            asked = msgspec.json.decode(body, type=protocol.EnrolRequest)
            given = protocol.EnrolAnswer(self.device, self.issue(asked.request), self.office.root.decode())
            return msgspec.json.encode(given)
        if path == protocol.RENEW:
            wanted = msgspec.json.decode(body, type=protocol.RenewRequest)
            return msgspec.json.encode(protocol.RenewAnswer(self.issue(wanted.request)))
        if path == protocol.INVENTORY:
            self.inventories.append(msgspec.json.decode(body, type=protocol.InventoryReport))
            self.known_sha256 = self.reports[-1].inventory_sha256
            return b"{}"
        report = msgspec.json.decode(body, type=protocol.CheckIn)
        self.reports.append(report)
        new = report.inventory_sha256 != self.known_sha256
        self.publish()
        hints = [
            self.hints.get(each.campaign, protocol.OrderHint(each.campaign, each.offered_at, each.offered_at))
            for each in self.orders
        ]
        return msgspec.json.encode(
            protocol.CheckInAnswer(self.clock(), new, self.next_check_seconds, self.office.published, hints)
        )


def order(**changed: object) -> protocol.OrderMessage:
    """An order to bring `tool` to 1.1, offered at START, forced two hours later."""
    message = protocol.OrderMessage(
        campaign="c-1",
        revision=1,
        verb="upgrade",
        product="debian",
        release="bookworm",
        source="tool",
        version="1.1",
        offered_at=START,
        force_at=START + timedelta(hours=2),
        expires_at=START + timedelta(hours=24),
        level="critical",
        texts={"en": "Tool must be updated.", "ja": "更新が必要です。"},
    )
    return msgspec.structs.replace(message, **changed)


def hint(**changed: object) -> protocol.OrderHint:
    """What the server says of `order()`."""
    return msgspec.structs.replace(protocol.OrderHint("c-1", START, START), **changed)


def _handler(company: Company) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            company.heard.append(self.path)
            if shown := self.connection.getpeercert(binary_form=True):
                company.speakers.append(read_certificate(ssl.DER_cert_to_PEM_cert(shown).encode()))
            refused = company.refuse or company.once.pop(self.path, None)
            if company.silent:
                refused = (503, {}, b"")
            self._answer(*(refused or (200, {}, company.answer(self.path, body))))

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            found = (
                authority().pem.encode() if self.path == protocol.AUTHORITY else company.serve_file(self.path)
            )
            self._answer(*(company.refuse or (404 if found is None else 200, {}, found or b"")))

        def do_POST(self) -> None:
            self._serve()

        def do_PUT(self) -> None:
            self._serve()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
