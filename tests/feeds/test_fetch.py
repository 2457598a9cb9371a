"""How a feed comes in: files, directories, addresses, and everything that can be wrong with them."""

import gzip
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from forestall.domain.errors import FeedError
from forestall.feeds.child import parse_in_child
from forestall.feeds.feed import Limits, feed_named
from forestall.feeds.fetch import fetch

EPSS = feed_named("epss")
KEV = feed_named("kev")
SCORES = b"cve,epss\nCVE-1999-0001,0.25\n"


class _Publisher(BaseHTTPRequestHandler):
    """A web server whose paths misbehave by name."""

    def do_GET(self) -> None:
        match self.path:
            case "/good":
                self._answer(200, SCORES)
            case "/packed":
                self._answer(200, gzip.compress(SCORES))
            case "/moved":
                self._answer(302, b"", location="/good")
            case "/away":
                self._answer(302, b"", location=f"http://localhost:{self.server.server_port}/good")
            case "/file":
                self._answer(302, b"", location="file:///etc/passwd")
            case "/circle":
                self._answer(302, b"", location="/circle")
            case "/short":
                self._answer(200, SCORES, length=len(SCORES) + 10)
            case "/endless":
                self._endless()
            case _:
                self._answer(404, b"no")

    def _answer(self, code: int, body: bytes, *, location: str = "", length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"#" * 65_536)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Stay quiet."""


@pytest.fixture(scope="module")
def publisher() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Publisher)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/good", "/packed", "/moved"])
def test_an_address_that_answers(publisher: str, path: str):
    assert fetch(EPSS, publisher + path).records == 1


@pytest.mark.parametrize(
    ("path", "why"),
    [
        pytest.param("/missing", "the server answered 404", id="not found"),
        pytest.param("/away", "redirects to another host", id="a redirect to another host"),
        pytest.param("/file", "redirects to another host", id="a redirect to a file of ours"),
        pytest.param("/circle", "more than 3 redirects", id="a circle of redirects"),
        pytest.param("/short", "the download failed", id="a connection that breaks off"),
    ],
)
def test_an_address_that_misbehaves(publisher: str, path: str, why: str):
    with pytest.raises(FeedError, match=why) as caught:
        fetch(EPSS, publisher + path)
    assert str(caught.value).startswith(f"epss: {publisher}{path}: ")


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        pytest.param(Limits(packed_bytes=1_000_000), "larger than 1 MB", id="more bytes than allowed"),
        pytest.param(Limits(download_seconds=0), "took more than 0 s", id="more time than allowed"),
    ],
)
def test_an_endless_download_ends(publisher: str, limits: Limits, why: str):
    with pytest.raises(FeedError, match=why):
        fetch(replace(EPSS, limits=limits), publisher + "/endless")


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "https://",
        "http://127.0.0.1.example/x",
        "http://[::1/x",
        "http://localhost@192.0.2.1/x",
    ],
)
def test_only_https_is_fetched_or_this_machine(url: str):
    with pytest.raises(FeedError, match=r"only https|no address"):
        fetch(EPSS, url)


def test_the_newest_file_of_a_directory_is_taken(tmp_path: Path):
    (tmp_path / "epss_scores-2026-01-29.csv").write_bytes(b"broken")
    (tmp_path / "epss_scores-2026-01-30.csv.gz").write_bytes(gzip.compress(SCORES))
    assert fetch(EPSS, str(tmp_path)).records == 1


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(Path.exists, "cannot be opened: No such file", id="nothing there"),
        pytest.param(Path.mkdir, "no file named like", id="an empty directory"),
        pytest.param(os.mkfifo, "is no regular file", id="a pipe that nobody writes to"),
        pytest.param(
            lambda path: path.write_bytes(gzip.compress(SCORES)[:-9]), "cut off", id="a truncated archive"
        ),
        pytest.param(
            lambda path: path.write_bytes(b"\xfd7zXZ\x00rubbish"), "damaged", id="an archive of rubbish"
        ),
        pytest.param(lambda path: path.write_bytes(b"\x00"), "line 1: a NUL byte", id="a NUL byte"),
        pytest.param(lambda path: path.write_bytes(b""), "there is no record in it", id="an empty file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make, why: str):
    path = tmp_path / "scores"
    make(path)
    with pytest.raises(FeedError, match=why) as caught:
        fetch(EPSS, str(path))
    assert str(caught.value).startswith(f"epss: {path}: ")


def test_a_feed_without_an_address_says_what_to_give():
    with pytest.raises(FeedError, match="give a file or a directory"):
        fetch(feed_named("cve5"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"[" * 101_000_000, "more than 100 MB when unpacked", id="a bomb: 101 MB of nesting"),
        pytest.param(b"[" * 99_000_000, "nested too deeply", id="99 MB of nesting"),
        pytest.param(
            b"[" + b"0.5," * 24_000_000 + b"0]", "more than 600 MB", id="values that fill the memory"
        ),
    ],
)
def test_a_bomb_ends_in_the_child(tmp_path: Path, content: bytes, why: str):
    path = tmp_path / "known_exploited_vulnerabilities.json.gz"
    path.write_bytes(gzip.compress(content, 1))
    with pytest.raises(FeedError, match=why):
        fetch(KEV, str(tmp_path))


def test_a_child_that_takes_too_long_is_ended():
    reader, writer = os.pipe()
    with (
        os.fdopen(reader, "rb") as never,
        os.fdopen(writer, "wb"),
        pytest.raises(FeedError, match="took more than"),
    ):
        parse_in_child(replace(EPSS, limits=Limits(parse_seconds=0.05)), never)
