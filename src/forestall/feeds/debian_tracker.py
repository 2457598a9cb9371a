"""The lists of the Debian security tracker: `data/DSA/list` and `data/DLA/list`."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from forestall.domain.advisory import Advisory, AdvisoryId, Product, ProductStatus, VulnerabilityId
from forestall.feeds.document import (
    Record,
    clean,
    complete_lines,
    debian_version,
    decode,
    release_name,
    source_name,
    vulnerability_id,
)
from forestall.feeds.result import FeedResult, read_advisories

_HEADER = re.compile(r"\[(\d{1,2}) ([A-Z][a-z]{2}) (\d{4})\]\s+(D[SL]A-\d+(?:-\d+)?)\s*(.*)", re.ASCII)
_PRODUCT = re.compile(r"\[([^\]]*)\]\s+-\s+(\S+)\s+(\S+)(?:\s.*)?")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STATUSES = {
    "<not-affected>": ProductStatus.NOT_AFFECTED,
    "<unfixed>": ProductStatus.UNFIXED,
    "<end-of-life>": ProductStatus.END_OF_LIFE,
}
_REMARKS = ("NOTE:", "TODO:")


def parse(data: bytes) -> FeedResult:
    """Read a list: a record is a line at the margin with the indented lines below it."""
    return read_advisories(_blocks(complete_lines(decode(data))), _advisory)


def _blocks(lines: list[str]) -> Iterator[Record[list[str]]]:
    block, start = list[str](), 1
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if block and not line[0].isspace():
            yield _block(start, block)
            block = []
        if not block:
            start = number
        block.append(line.strip())
    if block:
        yield _block(start, block)


def _block(start: int, lines: list[str]) -> Record[list[str]]:
    found = _HEADER.fullmatch(lines[0])
    return Record(f"line {start}", found[4] if found else "", lines)


def _advisory(lines: list[str]) -> Advisory:
    found = _HEADER.fullmatch(lines[0])
    if not found:
        raise ValueError("does not begin like '[12 Feb 2025] DSA-5865-1 source - title'")
    day, month, year, name, title = found.groups()
    if month not in _MONTHS:
        raise ValueError(f"{month} is no month")
    vulnerabilities, products = list[VulnerabilityId](), list[Product]()
    for line in lines[1:]:
        if line.startswith("{"):
            vulnerabilities += [vulnerability_id(word) for word in line.strip("{} ").split()]
        elif not line.startswith(_REMARKS):
            products.append(_product(line))
    return Advisory(
        AdvisoryId(name),
        clean(title),
        datetime(int(year), _MONTHS.index(month) + 1, int(day), tzinfo=UTC),
        tuple(dict.fromkeys(vulnerabilities)),
        tuple(products),
        "debian-tracker",
    )


def _product(line: str) -> Product:
    found = _PRODUCT.fullmatch(line)
    if not found:
        raise ValueError(f"cannot read {clean(line, 80)!r}; expected '[release] - source version'")
    release, source, version = found.groups()
    if version in _STATUSES:
        return Product(release_name(release), source_name(source), _STATUSES[version])
    return Product(release_name(release), source_name(source), ProductStatus.FIXED, debian_version(version))
