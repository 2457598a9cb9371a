"""CISA's catalogue of known exploited vulnerabilities (JSON)."""

from datetime import date

import msgspec

from forestall.domain.advisory import Exploitation, Vulnerability
from forestall.domain.errors import FeedError
from forestall.feeds.document import Record, clean, decode, name_of, read_json, vulnerability_id, weakness_ids
from forestall.feeds.result import FeedResult, read_vulnerabilities


class _Catalogue(msgspec.Struct):
    count: int
    vulnerabilities: list[object]


class _Entry(msgspec.Struct, rename="camel"):
    cve_id: str = msgspec.field(name="cveID")
    date_added: date
    vulnerability_name: str
    short_description: str
    known_ransomware_campaign_use: str = "Unknown"
    cwes: list[str] = []


def parse(data: bytes) -> FeedResult:
    """Read the catalogue; one that holds fewer entries than it counts was cut."""
    try:
        catalogue = msgspec.convert(read_json(decode(data)), _Catalogue)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half of a surrogate pair as a key
        raise FeedError(f"this is no KEV catalogue: {error}") from None
    entries = catalogue.vulnerabilities
    if len(entries) != catalogue.count:
        raise FeedError(f"it counts {catalogue.count} entries but holds {len(entries)}")
    records = (
        Record(f"entry {number}", name_of(entry, "cveID"), entry)
        for number, entry in enumerate(entries, start=1)
    )
    return read_vulnerabilities(records, _vulnerability)


def _vulnerability(value: object) -> Vulnerability:
    entry = msgspec.convert(value, _Entry)
    return Vulnerability(
        vulnerability_id(entry.cve_id),
        title=clean(entry.vulnerability_name, 200),
        description=clean(entry.short_description),
        exploitation=Exploitation.ACTIVE,
        exploited_since=entry.date_added,
        ransomware=entry.known_ransomware_campaign_use == "Known",
        weaknesses=weakness_ids(entry.cwes),
    )
