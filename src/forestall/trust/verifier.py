"""The agent's side: papers are believed only as TUF's own client verified them; a refusal is a value with a reason.

A mirror holds no keys. One that serves wrong, old or no files costs one fall-back to the origin, and is told.
"""

import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

from tuf.api import exceptions as tuf
from tuf.api.metadata import TargetFile, Timestamp
from tuf.ngclient import Updater

from forestall.domain.recipe import Payload
from forestall.trust.documents import MOST_BYTES
from forestall.trust.fetcher import Fetcher
from forestall.trust.payloads import payload_path

_T = TypeVar("_T")


class Reason(StrEnum):
    """Why signed files were refused."""

    UNREACHABLE = "unreachable"
    MISSING = "missing"
    """The server has no such file."""
    TOO_LONG = "too-long"
    TOO_SLOW = "too-slow"
    ALTERED = "altered"
    """Not what the signed list names: changed, cut short, or from another snapshot."""
    UNSIGNED = "unsigned"
    """Not signed by enough of the right keys."""
    ROLLED_BACK = "rolled-back"
    """Older than what this machine has seen."""
    EXPIRED = "expired"
    """Its signature ran out: frozen, or nobody signs any more."""
    MALFORMED = "malformed"
    STALE = "stale"
    """A mirror behind what the server has published."""
    NOT_NAMED = "not-named"
    """No signed list names it."""
    NO_ROOM = "no-room"
    """It cannot be kept on this machine."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Signed files that were refused: why, in detail, and where they came from."""

    reason: Reason
    detail: str
    source: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail} ({self.source})"


_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (tuf.DownloadLengthMismatchError, Reason.TOO_LONG),
    (tuf.SlowRetrievalError, Reason.TOO_SLOW),
    (tuf.DownloadHTTPError, Reason.MISSING),
    (tuf.DownloadError, Reason.UNREACHABLE),
    (tuf.UnsignedMetadataError, Reason.UNSIGNED),
    (tuf.BadVersionNumberError, Reason.ROLLED_BACK),
    (tuf.ExpiredMetadataError, Reason.EXPIRED),
    (tuf.LengthOrHashMismatchError, Reason.ALTERED),
    (tuf.RepositoryError, Reason.MALFORMED),
    (OSError, Reason.NO_ROOM),
)
"""First row that fits; the order goes from the special to the general."""


def guarded(work: Callable[[], _T], source: str) -> _T | Refusal:
    """Do something with signed files; what tuf raises becomes a refusal."""
    try:
        return work()
    except (tuf.RepositoryError, tuf.DownloadError, OSError) as error:
        reason = next(reason for kind, reason in _REASONS if isinstance(error, kind))
        return Refusal(reason, str(error)[:300] or type(error).__name__, source)


def updater(
    metadata_dir: Path, metadata_url: str, fetcher: Fetcher, now: datetime, root: bytes | None
) -> Updater:
    """Make tuf's client with our fetcher and the time as we know it; its own limits of length hold.

    Without a `root` the one in the folder is trusted.

    Raises:
        OSError: the folder cannot be used.
        RepositoryError: the root is none.
    """
    made = Updater(str(metadata_dir), metadata_url, fetcher=fetcher, bootstrap=root)
    # tuf reads the machine's clock and offers no other way to tell it the time.
    made._trusted_set.reference_time = now  # noqa: SLF001
    return made


@dataclass(frozen=True, slots=True)
class Source:
    """A place that serves the repository."""

    url: str

    @property
    def metadata(self) -> str:
        """Where the metadata are."""
        return f"{self.url}/metadata/"

    @property
    def targets(self) -> str:
        """Where the papers are."""
        return f"{self.url}/targets/"


@dataclass(slots=True)
class Trust:
    """What this machine trusts: the root it was enrolled with, and what tuf has verified since."""

    directory: Path
    root: bytes
    sources: Sequence[Source]
    """In the order asked: a mirror, then the origin."""
    context: ssl.SSLContext
    refusals: list[Refusal] = field(default_factory=list)
    """Everything refused since the last `refresh`, for the journal."""
    _client: Updater | None = None
    _left: list[Source] = field(default_factory=list)

    def refresh(self, now: datetime, published: int) -> bool:
        """Bring the signed lists up to date, from the first source that has them whole; say whether one had.

        `published` is the version that the server says it has published: a mirror behind it is passed over.
        """
        self.refusals.clear()
        self._client = None
        self._left = list(self.sources)
        return self._next_source(now, published)

    def read(self, path: str, now: datetime) -> bytes | Refusal:
        """Read a paper that the signed lists name; where a mirror has it not or wrong, from the origin."""
        fetcher = Fetcher(self.context)
        return self._from_sources(path, lambda client, source: _paper(client, fetcher, source, path), now)

    def fetch(
        self, payload: Payload, keep: Callable[[Iterator[bytes]], str], now: datetime
    ) -> Refusal | None:
        """Stream a payload that the signed lists name to `keep`, which says what is wrong with it, or nothing.

        Where a mirror has it not or wrong, it is streamed once more, from the origin.
        """
        if self._client is None:
            self.refresh(now, 0)
        path = payload_path(payload)
        found = self._from_sources(
            path, lambda client, source: self._streamed(client, source, payload, keep), now
        )
        return found if isinstance(found, Refusal) else None

    def _streamed(
        self, client: Updater, source: Source, payload: Payload, keep: Callable[[Iterator[bytes]], str]
    ) -> bool | None:
        target = client.get_targetinfo(payload_path(payload))
        if target is None:
            return None
        if (target.length, target.hashes.get("sha256")) != (payload.length, payload.sha256):
            raise tuf.LengthOrHashMismatchError("the signed lists name another payload than the recipe")
        url = address_of(source.targets, target)
        complaint = keep(Fetcher(self.context).whole(url, payload.length))
        if complaint:
            raise tuf.LengthOrHashMismatchError(complaint)
        return True

    def _from_sources(
        self, path: str, work: Callable[[Updater, Source], _T | None], now: datetime
    ) -> _T | Refusal:
        """Do something with one target at each source in turn, until it is done or one says there is none."""
        while self._client is not None:
            client, source = self._client, self._left[0]
            found = guarded(partial(work, client, source), source.url)
            if found is None:
                return Refusal(Reason.NOT_NAMED, f"no signed list names {path}", source.url)
            if not isinstance(found, Refusal):
                return found
            self.refusals.append(found)
            if len(self._left) == 1:  # the origin: other papers of it may be sound
                return found
            self._left.pop(0)
            self._next_source(now, 0)
        return self.refusals[-1] if self.refusals else Refusal(Reason.UNREACHABLE, "not refreshed", "")

    def _next_source(self, now: datetime, published: int) -> bool:
        self._client = None
        while self._left:
            source = self._left[0]
            found = guarded(partial(self._refreshed, source, now), source.url)
            if isinstance(found, Updater):
                version = _version(found)
                if version >= published or len(self._left) == 1:
                    self._client = found
                    return True
                found = Refusal(Reason.STALE, f"version {version}, {published} is published", source.url)
            self.refusals.append(found)
            self._left.pop(0)
        return False

    def _refreshed(self, source: Source, now: datetime) -> Updater:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        fetcher = Fetcher(self.context, exact=True)
        client = updater(self.directory, source.metadata, fetcher, now, self.root)
        client.refresh()
        return client


def _version(client: Updater) -> int:
    timestamp = client._trusted_set[Timestamp.type]  # noqa: SLF001 - tuf does not show it
    return timestamp.version


def _paper(client: Updater, fetcher: Fetcher, source: Source, path: str) -> bytes | None:
    target = client.get_targetinfo(path)
    if target is None:
        return None
    if target.length > MOST_BYTES:
        raise tuf.DownloadLengthMismatchError(f"{path} is {target.length} bytes long")
    content: bytes = fetcher.download_bytes(address_of(source.targets, target), target.length)
    target.verify_length_and_hashes(content)
    return content


def address_of(base: str, target: TargetFile) -> str:
    """Say where a target lies: under its hash, so that a cache may keep it for ever."""
    folder, slash, name = target.path.rpartition("/")
    return f"{base}{folder}{slash}{next(iter(target.hashes.values()))}.{name}"
