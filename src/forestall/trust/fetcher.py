"""Fetches files for TUF: bounded in bytes and time, no redirects, no proxies, no compression, from one place each."""

import http.client
import re
import ssl
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote, urlsplit

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError, SlowRetrievalError
from tuf.api.metadata import Metadata
from tuf.ngclient import FetcherInterface

from forestall.clock import stopwatch
from forestall.trust.metadata import COMPACT

_CONNECT_SECONDS = 10
_GRACE_SECONDS = 30
_LEAST_BYTES_A_SECOND = 1_024
"""After the grace a file must have come at this rate: who drips bytes holds nobody for long."""
_CHUNK = 65_536
_AS_IT_IS = "/%:@!$&'()*+,;=~-._"
_UNLISTED = re.compile(r"/(?:timestamp|[0-9]+\.root)\.json$")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)")


class Fetcher(FetcherInterface):
    """The one way in which signed files come in; the limits of length are tuf's, by what metadata say.

    With `exact`, metadata that no other list names by hash must be written byte for byte as our own repository
    writes them: tuf checks signatures over what it understood, and leaves out what it did not. It inherits
    because tuf asks for it.
    """

    def __init__(self, context: ssl.SSLContext, *, exact: bool = False) -> None:
        self._context = context
        self._exact = exact

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Fetch a whole file.

        Raises:
            DownloadError, RepositoryError: in tuf's trees: it did not come, or not as it was written.
        """
        content = bytes(super().download_bytes(url, max_length))
        if (
            self._exact
            and _UNLISTED.search(url)
            and Metadata.from_bytes(content).to_bytes(COMPACT) != content
        ):
            raise RepositoryError("says more than what was signed")
        return content

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self.chunks(url, 0)

    def chunks(self, url: str, offset: int) -> Iterator[bytes]:
        """Ask for a file, from a byte on; a server that sends the whole is read past what is there already.

        Raises:
            DownloadError: in tuf's tree: an HTTP status, too slow, or out of reach.
        """
        try:
            connection, response = self._ask(url, offset)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DownloadError(f"cannot be reached: {str(error) or type(error).__name__}") from error
        return _read(connection, response, offset)

    def whole(self, url: str, length: int) -> Iterator[bytes]:
        """Ask for a file of a known length; where it breaks off it goes on, as long as more of it comes.

        Raises:
            DownloadError: in tuf's tree: an HTTP status, too slow, out of reach, or broken off for good.
        """
        got = 0
        while got < length:
            before = got
            try:
                for chunk in self.chunks(url, got):
                    got += len(chunk)
                    yield chunk
            except DownloadError:
                if got == before:
                    raise
            if got == before:
                raise DownloadError(f"broke off after {got} of {length} bytes")

    def _ask(self, url: str, offset: int) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection, path = self._connection(url)
        headers = {"Accept-Encoding": "identity", "Connection": "close"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            connection.request("GET", path, headers=headers)
            return connection, connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def _connection(self, url: str) -> tuple[http.client.HTTPConnection, str]:
        parts = urlsplit(url)
        path = quote(parts.path or "/", safe=_AS_IT_IS)
        if parts.query:
            path = f"{path}?{quote(parts.query, safe=_AS_IT_IS)}"
        if parts.scheme == "https" and parts.hostname:
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=_CONNECT_SECONDS, context=self._context
            ), path
        if parts.scheme == "http" and parts.hostname:
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_CONNECT_SECONDS), path
        raise ValueError("not an http or https address")


def _read(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse, offset: int
) -> Iterator[bytes]:
    with closing(connection):
        skip = _skip(response, offset)
        began, got = stopwatch(), 0
        try:
            while chunk := response.read1(_CHUNK):
                got += len(chunk)
                passed = stopwatch() - began
                slow = passed > _GRACE_SECONDS and got < passed * _LEAST_BYTES_A_SECOND
                if slow and response.length != 0:  # a file that is all there may have been slow
                    raise SlowRetrievalError(f"{got} bytes in {passed:.0f} seconds")
                kept, skip = chunk[skip:], max(0, skip - len(chunk))
                if kept:
                    yield kept
        except TimeoutError as error:
            raise SlowRetrievalError(f"nothing for {_CONNECT_SECONDS} seconds") from error
        except (OSError, http.client.HTTPException) as error:
            raise DownloadError(f"broke off after {got} bytes") from error


def _skip(response: http.client.HTTPResponse, offset: int) -> int:
    """Say how many bytes come before those asked for."""
    if response.status == http.client.OK:
        return offset
    part = _CONTENT_RANGE.fullmatch(response.getheader("Content-Range", ""))
    if response.status == http.client.PARTIAL_CONTENT and part and int(part[1]) == offset:
        return 0
    raise DownloadHTTPError(f"answered {response.status}", response.status)
