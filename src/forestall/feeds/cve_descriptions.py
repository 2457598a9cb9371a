"""Descriptions of vulnerabilities as JSON, one a line: `cve, weakness, description`."""

import msgspec

from forestall.domain.advisory import Vulnerability
from forestall.feeds.document import clean, decode, json_lines, vulnerability_id, weakness_ids
from forestall.feeds.result import FeedResult, read_vulnerabilities


class _Record(msgspec.Struct):
    cve: str
    description: str
    weakness: str = ""


def parse(data: bytes) -> FeedResult:
    """Read the file."""
    return read_vulnerabilities(json_lines(decode(data), "cve"), _vulnerability)


def _vulnerability(value: object) -> Vulnerability:
    record = msgspec.convert(value, _Record)
    return Vulnerability(
        vulnerability_id(record.cve),
        description=clean(record.description),
        weaknesses=weakness_ids([record.weakness]),
    )
