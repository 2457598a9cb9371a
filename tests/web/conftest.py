"""A company whose server listens on loopback, as agents and browsers reach it."""

import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from certificates import authority
from domain.made import DAY
from forestall.agent.client import pinned
from forestall.clock import utc_now
from forestall.domain.device import DeviceId
from forestall.domain.identity import Certificate
from forestall.server import operators
from forestall.server.overview import overview
from forestall.store.database import Database
from forestall.trust.device_key import new_key, read_certificate, request_for, written
from forestall.web.app import make_agents_app, make_app
from forestall.web.serve import serving
from forestall.web.streams import Streams
from server.company import Company


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Me:
    """A machine that speaks: its certificate, and how often it has checked in."""

    certificate: Certificate
    context: ssl.SSLContext
    sequence: int = 0

    @property
    def device(self) -> DeviceId:
        return self.certificate.device

    def check_in(self, **changed: object) -> dict[str, object]:
        """What a machine says that has no orders."""
        self.sequence += 1
        says = {"agent_version": "1", "boot_id": "b", "sequence": self.sequence, "states": []}
        return {**says, "inventory_sha256": "0" * 64, **changed}


@dataclass
class Site:
    """A server with its company."""

    company: Company
    address: tuple[str, int]
    agents: tuple[str, int]
    folder: Path
    streams: Streams

    def ask(self, method: str, path: str, body: object = b"", me: Me | None = None, **headers: str) -> Answer:
        """Send one request, to the agents' listener where it is theirs; what is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        if path.startswith("/agent"):
            context = me.context if me else pinned(authority().pem)
            connection = http.client.HTTPSConnection(*self.agents, timeout=60, context=context)
        try:
            connection.request(method, path, content, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def enrol(self, name: str = "host") -> Me:
        """Enrol a machine; returns what it needs to speak."""
        token = operators.make_token(self.company.database, "tokyo", 1, DAY, "aiko", utc_now())
        key = new_key()
        wish = {"token": token, "name": name, "agent_version": "1", "request": request_for(key)}
        answer = self.ask("POST", "/agent/v1/enrol", wish)
        assert answer.status == 200, answer.text
        return self.holding(key, answer.json["certificate"])

    def holding(self, key: EllipticCurvePrivateKey, certificate: str) -> Me:
        """Make the caller that has this key and certificate."""
        said = read_certificate(certificate.encode())
        file = self.folder / f"{said.serial:x}.pem"
        file.write_bytes(certificate.encode() + written(key))
        return Me(said, pinned(authority().pem, file))


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    company = Company(database)
    pages = {"/": lambda: overview(database, company.now, company.policy)}
    context = authority().context(tmp_path, ["127.0.0.1"])
    streams = Streams()
    with (
        serving(make_app(None, pages, keep_seconds=0), "127.0.0.1", 0) as url,
        serving(make_agents_app(company.desk, streams), "127.0.0.1", 0, context) as agents,
    ):
        yield Site(company, address_of(url), address_of(agents), tmp_path, streams)
        streams.close()


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.partition("://")[2].rstrip("/").partition(":")
    return host, int(port)
