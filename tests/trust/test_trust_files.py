"""The server's signed files over HTTP: ranges, caching, and no way out of their folder."""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from laboratory.office import Office
from starlette.applications import Starlette

from forestall.web.serve import serving
from forestall.web.trust_files import trust_routes


def get(url: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    found = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return found


@pytest.fixture
def url(office: Office) -> "object":
    with serving(Starlette(routes=trust_routes(office.repository)), "127.0.0.1", 0) as url:
        yield url


def test_a_file_is_served_whole_or_in_part(url: str, office: Office) -> None:
    status, headers, whole = get(url, "/trust/metadata/1.root.json")
    assert (status, whole) == (200, office.root)
    assert "immutable" in headers["cache-control"]
    status, headers, part = get(url, "/trust/metadata/1.root.json", Range="bytes=10-19")
    assert (status, part) == (206, office.root[10:20])


def test_only_the_timestamp_is_asked_for_again(url: str) -> None:
    assert get(url, "/trust/metadata/timestamp.json")[1]["cache-control"] == "no-cache"


OUTSIDE = [
    pytest.param("/trust/../online/orders-1.pem", id="up and out"),
    pytest.param("/trust/metadata/../../online/orders-1.pem", id="up and out from below"),
    pytest.param("/trust/%2e%2e/online/orders-1.pem", id="up, escaped"),
    pytest.param("/trust/metadata/..%2f..%2fonline%2fcaps.toml", id="slashes, escaped"),
    pytest.param("/trust//etc/passwd", id="from the root"),
    pytest.param("/trust/metadata/.timestamp.json.new", id="a file that is being written"),
    pytest.param("/trust/metadata", id="a folder"),
    pytest.param("/trust/metadata/9.root.json", id="a root that does not exist yet"),
    pytest.param("/trust/metadata/1.root.json%00", id="a NUL"),
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_else_is_served(url: str, office: Office, path: str) -> None:
    assert Path(office.folder / "online/orders-1.pem").exists()
    assert get(url, path)[0] == 404
