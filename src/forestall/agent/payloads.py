"""The agent's own store of payloads: a file is in it under its hash, whole, or not at all (R38)."""

import shutil
from collections.abc import Container, Iterable
from datetime import datetime
from pathlib import Path

from forestall.agent.installers.outcome import Outcome
from forestall.agent.program import unhurried
from forestall.domain.recipe import Payload
from forestall.trust.payloads import difference, keep
from forestall.trust.verifier import Refusal, Trust

_FOLDER = "payloads"
_MODE = 0o500
"""Root runs it, nobody changes it."""
_SPACE_FACTOR = 3
"""Free space wanted, in sizes of the payload (R32)."""


def place_of(directory: Path, payload: Payload) -> Path:
    """Say where a payload lies."""
    return directory / _FOLDER / payload.sha256


def fetch(directory: Path, payload: Payload, trust: Trust, now: datetime) -> Outcome:
    """Bring a payload that the signed lists name into the store; one that is there is not fetched again (P5.3)."""
    place = place_of(directory, payload)
    if place.is_file():
        with place.open("rb") as source:
            if not difference(payload, source):
                return Outcome(True, "downloaded before")
    short = _short_of_space(place, payload)
    if short:
        return Outcome(False, short)
    with unhurried():
        refusal = trust.fetch(payload, lambda chunks: keep(place, payload, chunks, _MODE), now)
    if isinstance(refusal, Refusal):
        return Outcome(False, f"payload refused: {refusal}")
    return Outcome(True, f"downloaded {payload.length} bytes")


def receive(directory: Path, payload: Payload, chunks: Iterable[bytes]) -> Outcome:
    """Take in a payload from wherever it comes; bytes other than those signed leave nothing behind."""
    place = place_of(directory, payload)
    short = _short_of_space(place, payload)
    complaint = short or keep(place, payload, chunks, _MODE)
    if complaint:
        return Outcome(False, short or f"refused: {complaint}")
    return Outcome(True, f"downloaded {payload.length} bytes")


def forget(directory: Path, wanted: Container[str]) -> None:
    """Remove the payloads that no order needs any more; `wanted` are the hashes of the others."""
    folder = directory / _FOLDER
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in wanted:
            path.unlink()


def _short_of_space(place: Path, payload: Payload) -> str:
    place.parent.mkdir(mode=0o700, exist_ok=True)
    free = shutil.disk_usage(place.parent).free
    if free >= _SPACE_FACTOR * payload.length:
        return ""
    return f"too little space in {place.parent}: {free >> 20} MiB free"
