"""The binary packages an archive offers: `Packages` indexes (deb822)."""

from collections.abc import Iterator
from pathlib import Path

from forestall.domain.deb822 import stanzas
from forestall.domain.errors import FeedError
from forestall.domain.matching import ArchivePackage
from forestall.feeds.document import decode, unpack

MOST_BYTES = 200_000_000
"""Unpacked; the largest index of Debian has a third of it."""

_NEEDED = frozenset({"Package", "Version", "Architecture"})


def read_packages(path: Path) -> Iterator[ArchivePackage]:
    """Read an index, packed or not.

    Raises:
        FeedError: it cannot be read, naming the file and the line.
    """
    try:
        text = decode(unpack(path.read_bytes(), MOST_BYTES))
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from None
    except FeedError as error:
        raise FeedError(f"{path}: {error}") from None
    for line, stanza in stanzas(text):
        if not stanza.keys() >= _NEEDED:
            raise FeedError(f"{path}: line {line}: a stanza without {' or '.join(sorted(_NEEDED))}")
        yield ArchivePackage(stanza["Package"], stanza["Version"], stanza["Architecture"])
