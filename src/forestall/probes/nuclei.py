"""What nuclei wrote (`-jsonl`), where a site runs it: it tells what it found, and nothing by what it did not find."""

import json
from typing import NamedTuple
from urllib.parse import urlsplit

from forestall.domain.address import read_address
from forestall.domain.errors import InputError
from forestall.domain.evidence import Status
from forestall.probes.answer import Answer, printable
from forestall.probes.probe import Finding

MOST_BYTES = 50_000_000
LONGEST_LINE = 1_000_000


class Told(NamedTuple):
    """A finding with the vulnerabilities it is about."""

    finding: Finding
    flaws: tuple[str, ...]


def read(data: bytes) -> list[Told]:
    """Read JSON lines; one without an address or a vulnerability tells us nothing.

    Raises:
        InputError: too large, or a line is no JSON object.
    """
    if len(data) > MOST_BYTES:
        raise InputError(f"more than {MOST_BYTES // 1_000_000} MB of JSON lines")
    told = list[Told]()
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            found = _told(_object(line, number))
            if found is not None:
                told.append(found)
    return told


def _object(line: bytes, number: int) -> dict[str, object]:
    if len(line) > LONGEST_LINE:
        raise InputError(f"line {number}: longer than {LONGEST_LINE:,} bytes")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"line {number}: not usable as JSON: {type(error).__name__}") from None
    if not isinstance(row, dict):
        raise InputError(f"line {number}: expected a JSON object")
    return row


def _told(row: dict[str, object]) -> Told | None:
    address = _address(row)
    info = row.get("info")
    classes = info.get("classification") if isinstance(info, dict) else None
    ids = classes.get("cve-id") if isinstance(classes, dict) else None
    flaws = tuple(str(each).upper()[:20] for each in ids) if isinstance(ids, list) else ()
    if not address or not flaws or row.get("matcher-status") is False:
        return None
    template = printable(str(row.get("template-id", "")).encode())[:60]
    proof = printable(str(row.get("matched-at", "")).encode())
    answer = Answer(Status.AFFECTED, f"nuclei found {', '.join(flaws)[:100]}", proof)
    return Told(Finding(address, f"nuclei {template}", answer, reached=True), flaws)


def _address(row: dict[str, object]) -> str:
    """Take the address that was really talked to, else a literal one that was asked for; names are not looked up."""
    host = str(row.get("host", ""))
    try:
        named = urlsplit(host if "//" in host else f"//{host}").hostname or ""
    except ValueError:
        named = ""
    found = read_address(str(row.get("ip", ""))) or read_address(named)
    return str(found) if found else ""
