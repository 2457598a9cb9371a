"""What the agent did, line by line, for the person at the machine to read afterwards."""

import os
from datetime import datetime
from pathlib import Path

import msgspec

from forestall.agent.debian import printable

_FILE = "journal.jsonl"
_TAIL_BYTES = 64 * 1024
_MOST_BYTES = 4 * 1024 * 1024


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was done, with the rule that asked for it."""

    at: datetime
    event: str
    campaign: str = ""
    rule: str = ""
    paragraph: str = ""
    detail: str = ""


def append(directory: Path, entry: Entry) -> None:
    """Add a line; a journal above 4 MiB is moved to `journal.jsonl.old` first."""
    path = directory / _FILE
    if path.exists() and path.stat().st_size > _MOST_BYTES:
        path.replace(path.with_name(f"{_FILE}.old"))
    line = msgspec.json.encode(msgspec.structs.replace(entry, detail=printable(entry.detail))) + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def tail(directory: Path, most: int) -> list[Entry]:
    """Read the newest entries, oldest first; a torn line is left out."""
    try:
        with (directory / _FILE).open("rb") as source:
            source.seek(max(0, source.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = source.read().splitlines()
    except FileNotFoundError:
        return []
    entries = (_entry(line) for line in lines)
    return [entry for entry in entries if entry is not None][-most:]


def _entry(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
