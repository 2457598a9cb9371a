"""Uploads to a stable release as JSON, one a line; an upload that names its advisory is that advisory."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import msgspec

from forestall.domain.advisory import Advisory, AdvisoryId, Product, ProductStatus
from forestall.feeds.debian_advisories import advisory_id
from forestall.feeds.document import (
    Record,
    clean,
    debian_version,
    decode,
    json_lines,
    name_of,
    release_name,
    source_name,
    vulnerability_id,
)
from forestall.feeds.result import FeedResult, read_advisories

_SUITE = re.compile(r"([a-z]+)(?:-security|-updates|-proposed-updates)?")


class _Record(msgspec.Struct):
    source: str
    version: str
    distribution: str
    date: datetime
    cves: list[str]
    advisory: str | None = None


def parse(data: bytes) -> FeedResult:
    """Read the file."""
    return read_advisories(_records(decode(data)), _advisory)


def _records(text: str) -> Iterator[Record[object]]:
    """Name each upload by the id its advisory gets."""
    for record in json_lines(text, "advisory"):
        words = [name_of(record.content, key) for key in ("distribution", "source", "version")]
        yield record if record.name else replace(record, name=":".join(("upload", *words)))


def _advisory(value: object) -> Advisory:
    record = msgspec.convert(value, _Record)
    suite = _SUITE.fullmatch(record.distribution)
    if not suite:
        raise ValueError(f"{clean(record.distribution, 60)!r} is no suite of Debian")
    if record.date.tzinfo is None:
        raise ValueError("the date has no time zone")
    source, version = source_name(record.source), debian_version(record.version)
    own_id = AdvisoryId(f"upload:{record.distribution}:{source}:{version}")
    return Advisory(
        advisory_id(record.advisory) if record.advisory else own_id,
        f"{source} {version}",
        record.date,
        tuple(dict.fromkeys(vulnerability_id(name) for name in record.cves)),
        (Product(release_name(suite[1]), source, ProductStatus.FIXED, version),),
        "debian-uploads",
    )
