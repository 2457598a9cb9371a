"""The agent's own store of payloads: a file is in it under its hash, whole, or not at all (R38)."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from forestall.agent.installers.outcome import Outcome
from forestall.domain.recipe import Payload

_FOLDER = "payloads"
_SPACE_FACTOR = 3
"""Free space wanted, in sizes of the payload (R32)."""


def place_of(directory: Path, payload: Payload) -> Path:
    """Say where a payload lies."""
    return directory / _FOLDER / payload.sha256


def receive(directory: Path, payload: Payload, chunks: Iterable[bytes]) -> Outcome:
    """Take in a payload from wherever it comes; bytes other than those signed leave nothing behind."""
    place = place_of(directory, payload)
    place.parent.mkdir(mode=0o700, exist_ok=True)
    free = shutil.disk_usage(place.parent).free
    if free < _SPACE_FACTOR * payload.length:
        return Outcome(False, f"too little space in {place.parent}: {free >> 20} MiB free")
    partial = place.with_suffix(".partial")
    try:
        with partial.open("wb") as sink:
            os.fchmod(sink.fileno(), 0o500)
            complaint = _written(sink, payload, chunks)
            sink.flush()
            os.fsync(sink.fileno())
        if complaint:
            return Outcome(False, complaint)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    return Outcome(True, f"downloaded {payload.length} bytes")


def _written(sink: IO[bytes], payload: Payload, chunks: Iterable[bytes]) -> str:
    digest, length = hashlib.sha256(), 0
    for chunk in chunks:
        length += len(chunk)
        if length > payload.length:
            return f"refused: longer than the {payload.length} bytes that were signed"
        digest.update(chunk)
        sink.write(chunk)
    if length != payload.length or digest.hexdigest() != payload.sha256:
        return f"refused: {length} bytes that are not those that were signed"
    return ""
