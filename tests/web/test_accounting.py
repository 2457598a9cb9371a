"""Accounting as FreeRADIUS posts it: with the password, bounded, answered after the commit (P6.2)."""

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.applications import Starlette

from forestall.domain.device import SiteId
from forestall.domain.sighting import Source
from forestall.sightings.session import Clients
from forestall.store import sightings
from forestall.store.database import Database
from forestall.web.accounting_api import PATH, Desk, accounting_routes
from forestall.web.serve import serving

PASSWORD = "Basic " + base64.b64encode(b"radius:word").decode()
Post = Callable[..., int]


@pytest.fixture
def post(database: Database) -> Iterator[Post]:
    routes = accounting_routes(Desk(database, Clients({}, SiteId("main")), "word"))
    with serving(Starlette(routes=routes), "127.0.0.1", 0) as url:
        host, _, port = url.removeprefix("http://").rstrip("/").partition(":")

        def post(body: object, password: str = PASSWORD) -> int:
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            try:
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                connection.request("POST", PATH, text, {"Authorization": password})
                return connection.getresponse().status
            finally:
                connection.close()

        yield post


def request(number: int = 1, status: object = "Start") -> dict[str, object]:
    return {
        "Acct-Status-Type": {"type": "integer", "value": [status]},
        "Calling-Station-Id": {"type": "string", "value": [f"52-54-00-00-00-{number:02X}"]},
        "Framed-IP-Address": {"type": "ipaddr", "value": [f"10.0.0.{number}"]},
    }


def kept(database: Database) -> list[str]:
    with database.begin() as con:
        return sorted(each.address for each in sightings.everything(con)[0] if each.source is Source.LOGIN)


def test_it_is_kept_when_it_is_answered_and_twice_is_once(post: Post, database: Database):
    for status in ("Start", "Interim-Update", "Stop", 1, "Start"):
        assert post(request(1, status)) == 204
        assert kept(database) == ["10.0.0.1"]


def test_many_at_once_are_all_kept(post: Post, database: Database):
    with ThreadPoolExecutor(20) as many:
        assert set(many.map(post, map(request, range(1, 101)))) == {204}
    assert len(kept(database)) == 100


@pytest.mark.parametrize("password", ["", "Basic x", "Basic " + base64.b64encode(b"radius:wrong").decode()])
def test_nobody_is_heard_without_the_password(password: str, post: Post, database: Database):
    assert post(request(), password) == 401
    assert kept(database) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"{", 400, id="no JSON"),
        pytest.param(b"[" * 50_000, 400, id="endless nesting"),
        pytest.param(b'{"x":' + b" " * 70_000 + b"{}}", 400, id="too long"),
        pytest.param({"Acct-Status-Type": {"value": [{"a": []}]}}, 204, id="a value that is no text"),
        pytest.param({"Acct-Status-Type": {"value": ["Accounting-On"]}}, 204, id="a switch that starts"),
        pytest.param({}, 204, id="nothing"),
    ],
)
def test_what_is_no_session_is_nothing(body: object, status: int, post: Post, database: Database):
    assert post(body) == status
    assert kept(database) == []
