"""The one way a feed comes in: from a file, a directory or an address, then through the bounded child."""

import ipaddress
import os
import stat
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import urljoin, urlsplit

import httpx2

from forestall.clock import stopwatch
from forestall.domain.errors import FeedError
from forestall.feeds.child import parse_in_child
from forestall.feeds.feed import Feed, Limits
from forestall.feeds.result import FeedResult

_MOST_REDIRECTS = 3
_IDLE_SECONDS = 20.0
_HEADERS = {"User-Agent": "forestall", "Accept-Encoding": "identity"}


def fetch(feed: Feed, location: str = "") -> FeedResult:
    """Fetch and read a feed from a path, a directory or a URL; without a location from where it is published.

    Raises:
        FeedError: it cannot be fetched or read, naming the place; what was read before stays in force.
    """
    location = location or feed.url
    if not location:
        raise FeedError(f"{feed.name} has no address of its own; give a file or a directory")
    try:
        if "://" in location:
            with tempfile.TemporaryFile() as file:
                download(location, file, feed.limits)
                file.seek(0)
                return parse_in_child(feed, file)
        path = _file_of(feed, Path(location))
        location = str(path)
        with _open(path) as file:
            return parse_in_child(feed, file)
    except FeedError as error:
        raise FeedError(f"{feed.name}: {location}: {error}") from None


def _file_of(feed: Feed, path: Path) -> Path:
    if not path.is_dir():
        return path
    found = find_file(feed, path)
    if found is None:
        raise FeedError(f"no file named like {' or '.join(feed.files)} in this directory")
    return found


def find_file(feed: Feed, directory: Path) -> Path | None:
    """Find a feed's newest file in a directory: the last by name."""
    return max((file for pattern in feed.files for file in directory.glob(pattern)), default=None)


def download(url: str, into: IO[bytes], limits: Limits) -> None:
    """Download from the host that the URL names, and from no other.

    Raises:
        FeedError: the address is not allowed, the host fails, or a limit is passed.
    """
    ends_at = stopwatch() + limits.download_seconds
    local = _check_address(url)
    try:
        with httpx2.Client(timeout=_IDLE_SECONDS, trust_env=not local, headers=_HEADERS) as client:
            for _ in range(_MOST_REDIRECTS + 1):
                with client.stream("GET", url, follow_redirects=False) as response:
                    if not response.is_redirect:
                        return _receive(response, into, limits, ends_at)
                    url = _same_host(url, response.headers.get("location", ""))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise FeedError(f"the download failed: {str(error) or type(error).__name__}") from None
    raise FeedError(f"more than {_MOST_REDIRECTS} redirects")


def _receive(response: httpx2.Response, into: IO[bytes], limits: Limits, ends_at: float) -> None:
    if response.status_code != httpx2.codes.OK:
        raise FeedError(f"the server answered {response.status_code}")
    received = 0
    for chunk in response.iter_raw():
        received += len(chunk)
        if received > limits.packed_bytes:
            raise FeedError(f"larger than {limits.packed_bytes // 1_000_000} MB")
        if stopwatch() > ends_at:
            raise FeedError(f"the download took more than {limits.download_seconds:.0f} s")
        into.write(chunk)
    expected = response.headers.get("content-length", "")
    if expected.isdecimal() and int(expected) != received:
        raise FeedError(f"cut off: {received} of {expected} bytes came")


def _check_address(url: str) -> bool:
    """Tell whether a URL is on this machine, refusing plain HTTP to any other."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise FeedError("this is no address") from None
    local = host == "localhost" or _is_loopback(host)
    if not host or parts.scheme not in {"https", "http"} or (parts.scheme == "http" and not local):
        raise FeedError("only https addresses are fetched (http on this machine only)")
    return local


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _same_host(url: str, target: str) -> str:
    """Follow a redirect on the same host and scheme only."""
    new = urljoin(url, target)
    if not target or urlsplit(new)[:2] != urlsplit(url)[:2]:
        raise FeedError(f"it redirects to another host ({new[:200]!r}); give that address if it is right")
    return new


def _open(path: Path) -> IO[bytes]:
    """Open a regular file; a pipe or a device never ends."""
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise FeedError(f"cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FeedError("is no regular file")
    return file
