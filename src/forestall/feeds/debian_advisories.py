"""Debian advisories as JSON, one a line: `id, date, title, cves, affected[{release, source, fixed | status}]`."""

import re
from datetime import date

import msgspec

from forestall.domain.advisory import Advisory, AdvisoryId, Product, ProductStatus
from forestall.feeds.document import (
    clean,
    debian_version,
    decode,
    json_lines,
    midnight,
    release_name,
    source_name,
    vulnerability_id,
)
from forestall.feeds.result import FeedResult, read_advisories

_ID = re.compile(r"[A-Z]{2,8}-[0-9]{1,8}(?:-[0-9]{1,8})?")


class _Affected(msgspec.Struct):
    release: str
    source: str
    fixed: str | None = None
    status: ProductStatus | None = None


class _Record(msgspec.Struct):
    id: str
    date: date
    title: str
    cves: list[str]
    affected: list[_Affected]


def parse(data: bytes) -> FeedResult:
    """Read the file."""
    return read_advisories(json_lines(decode(data), "id"), _advisory)


def _advisory(value: object) -> Advisory:
    record = msgspec.convert(value, _Record)
    return Advisory(
        advisory_id(record.id),
        clean(record.title),
        midnight(record.date),
        tuple(dict.fromkeys(vulnerability_id(name) for name in record.cves)),
        tuple(_product(affected) for affected in record.affected),
        "debian-advisories",
    )


def advisory_id(text: str) -> AdvisoryId:
    """Take a vendor's advisory number.

    Raises:
        ValueError: it is none.
    """
    if not _ID.fullmatch(text):
        raise ValueError(f"{clean(text, 60)!r} is no advisory number")
    return AdvisoryId(text)


def _product(affected: _Affected) -> Product:
    release, source = release_name(affected.release), source_name(affected.source)
    if affected.fixed is not None:
        return Product(release, source, ProductStatus.FIXED, debian_version(affected.fixed))
    if affected.status is None or affected.status is ProductStatus.FIXED:
        raise ValueError(f"{source} in {release} has neither a fixed version nor a status")
    return Product(release, source, affected.status)
