"""CVE records (CVE JSON 5), one a line, with what CISA's analysts added to them (Vulnrichment)."""

from collections.abc import Iterator
from datetime import date

import msgspec

from forestall.domain.advisory import Exploitation, Vulnerability
from forestall.feeds.document import (
    Record,
    clean,
    complete_lines,
    decode,
    name_of,
    read_json,
    vulnerability_id,
    weakness_ids,
)
from forestall.feeds.result import FeedResult, read_vulnerabilities


class _Cvss(msgspec.Struct):
    score: float = msgspec.field(name="baseScore")
    vector: str = msgspec.field(name="vectorString", default="")


class _Other(msgspec.Struct):
    type: str
    content: dict[str, object]


class _Metric(msgspec.Struct):
    v4_0: _Cvss | None = msgspec.field(name="cvssV4_0", default=None)
    v3_1: _Cvss | None = msgspec.field(name="cvssV3_1", default=None)
    v3_0: _Cvss | None = msgspec.field(name="cvssV3_0", default=None)
    v2_0: _Cvss | None = msgspec.field(name="cvssV2_0", default=None)
    other: _Other | None = None


class _Text(msgspec.Struct):
    lang: str
    value: str


class _Weakness(msgspec.Struct):
    id: str = msgspec.field(name="cweId", default="")


class _Problem(msgspec.Struct):
    descriptions: list[_Weakness] = []


class _Container(msgspec.Struct, rename="camel"):
    title: str = ""
    descriptions: list[_Text] = []
    metrics: list[_Metric] = []
    problem_types: list[_Problem] = []


class _Containers(msgspec.Struct):
    cna: _Container
    adp: list[_Container] = []


class _Metadata(msgspec.Struct):
    id: str = msgspec.field(name="cveId")
    state: str


class _Cve(msgspec.Struct, rename="camel"):
    cve_metadata: _Metadata
    containers: _Containers


class _Ssvc(msgspec.Struct):
    """The three of SSVC's decision points that CISA publishes."""

    exploitation: Exploitation | None = msgspec.field(name="Exploitation", default=None)
    automatable: str = msgspec.field(name="Automatable", default="")
    technical_impact: str = msgspec.field(name="Technical Impact", default="")


def parse(data: bytes) -> FeedResult:
    """Read the records."""
    return read_vulnerabilities(_records(complete_lines(decode(data))), _vulnerability)


def _records(lines: list[str]) -> Iterator[Record[object]]:
    for number, line in enumerate(lines, start=1):
        value = read_json(line, f"line {number}: ")
        metadata = value.get("cveMetadata") if isinstance(value, dict) else None
        yield Record(f"line {number}", name_of(metadata, "cveId"), value)


def _vulnerability(value: object) -> Vulnerability:
    record = msgspec.convert(value, _Cve)
    cna = record.containers.cna
    containers = [cna, *record.containers.adp]
    metrics = [metric for container in containers for metric in container.metrics]
    ssvc, cvss, since = _ssvc(metrics), _cvss(metrics), _listed_since(metrics)
    exploitation = Exploitation.ACTIVE if since else ssvc.exploitation or Exploitation.NONE
    if cvss and not 0.0 <= cvss.score <= 10.0:
        raise ValueError(f"CVSS score {cvss.score} is not between 0 and 10")
    return Vulnerability(
        vulnerability_id(record.cve_metadata.id),
        title=clean(cna.title, 200),
        description=clean(next((text.value for text in cna.descriptions if text.lang.startswith("en")), "")),
        exploitation=exploitation,
        exploited_since=since,
        cvss_score=cvss.score if cvss else None,
        cvss_vector=clean(cvss.vector, 200) if cvss else "",
        weaknesses=weakness_ids(
            weakness.id
            for container in containers
            for problem in container.problem_types
            for weakness in problem.descriptions
        ),
        automatable={"yes": True, "no": False}.get(ssvc.automatable),
        technical_impact_total={"total": True, "partial": False}.get(ssvc.technical_impact),
        rejected=record.cve_metadata.state == "REJECTED",
    )


def _cvss(metrics: list[_Metric]) -> _Cvss | None:
    """Take the newest CVSS version; of one version the first, which is that of the CVE's own authority."""
    for version in ("v4_0", "v3_1", "v3_0", "v2_0"):
        for metric in metrics:
            found: _Cvss | None = getattr(metric, version)
            if found:
                return found
    return None


def _ssvc(metrics: list[_Metric]) -> _Ssvc:
    for metric in metrics:
        if metric.other and metric.other.type == "ssvc":
            options = msgspec.convert(metric.other.content.get("options", []), list[dict[str, str]])
            answers = {name: answer.lower() for option in options for name, answer in option.items()}
            return msgspec.convert(answers, _Ssvc)
    return _Ssvc()


def _listed_since(metrics: list[_Metric]) -> date | None:
    """Take the day of CISA's listing, which its analysts note in the record."""
    for metric in metrics:
        if metric.other and metric.other.type == "kev":
            return msgspec.convert(metric.other.content.get("dateAdded"), date)
    return None
