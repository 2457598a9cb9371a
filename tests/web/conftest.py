"""A company whose server listens on loopback, as agents and browsers reach it."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from domain.made import DAY
from forestall.clock import utc_now
from forestall.server import operators
from forestall.server.overview import overview
from forestall.store.database import Database
from forestall.web.app import make_app
from forestall.web.serve import serving
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
class Site:
    """A server with its company."""

    company: Company
    address: tuple[str, int]

    def ask(self, method: str, path: str, body: object = b"", **headers: str) -> Answer:
        """Send one request; what is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request(method, path, content, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def enrol(self, name: str = "host") -> str:
        """Enrol a machine; returns what it sends as Authorization."""
        token = operators.make_token(self.company.database, "tokyo", 1, DAY, "aiko", utc_now())
        answer = self.ask("POST", "/agent/v1/enrol", {"token": token, "name": name, "agent_version": "1"})
        assert answer.status == 200, answer.text
        return f"Bearer {answer.json['device']}:{answer.json['secret']}"


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    company = Company(database)
    pages = {"/": lambda: overview(database, company.now, company.policy)}
    with serving(make_app(company.desk, pages, keep_seconds=0), "127.0.0.1", 0) as url:
        host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
        yield Site(company, (host, int(port)))
