"""Payloads of recipes: targets of their own, named by their hash, taken in as a stream and never in part."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from forestall.domain.recipe import Payload

PAYLOADS = "payloads"
_CHUNK = 1 << 20


def payload_path(payload: Payload) -> str:
    """Say where a payload lies among the signed files."""
    return f"{PAYLOADS}/{payload.sha256}"


def is_payload(path: str) -> bool:
    """Say whether a signed file is a payload, not a paper."""
    return path.startswith(f"{PAYLOADS}/")


def keep(place: Path, payload: Payload, chunks: Iterable[bytes], mode: int) -> str:
    """Write a payload to its place, whole and durable; of bytes other than those signed, leave nothing and say why."""
    partial = place.with_name(f".{place.name}.partial")
    try:
        with partial.open("wb") as sink:
            os.fchmod(sink.fileno(), mode)
            complaint = _written(sink, payload, chunks)
            sink.flush()
            os.fsync(sink.fileno())
        if not complaint:
            partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    return complaint


def difference(payload: Payload, source: IO[bytes]) -> str:
    """Say how an open file differs from the payload that was signed; empty where it is that one."""
    digest, length = hashlib.sha256(), 0
    for chunk in chunks_of(source):
        length += len(chunk)
        digest.update(chunk)
    return _difference(payload, length, digest.hexdigest())


def chunks_of(source: IO[bytes]) -> Iterator[bytes]:
    """Read an open file piece by piece."""
    while chunk := source.read(_CHUNK):
        yield chunk


def payload_of(path: Path) -> Payload:
    """Name the payload that a file is.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        return Payload(digest, os.fstat(source.fileno()).st_size)


def _written(sink: IO[bytes], payload: Payload, chunks: Iterable[bytes]) -> str:
    digest, length = hashlib.sha256(), 0
    for chunk in chunks:
        length += len(chunk)
        if length > payload.length:
            return f"longer than the {payload.length} bytes that were signed"
        digest.update(chunk)
        sink.write(chunk)
    return _difference(payload, length, digest.hexdigest())


def _difference(payload: Payload, length: int, sha256: str) -> str:
    if (length, sha256) == (payload.length, payload.sha256):
        return ""
    return f"{length} bytes that are not those that were signed"
