"""FIRST's daily EPSS scores (CSV; the comment line came in 2022, the percentile in 2021)."""

from collections.abc import Iterator

from forestall.domain.advisory import Vulnerability
from forestall.domain.errors import FeedError
from forestall.feeds.document import Record, clean, complete_lines, decode, vulnerability_id
from forestall.feeds.result import FeedResult, read_vulnerabilities


def parse(data: bytes) -> FeedResult:
    """Read a day's scores."""
    return read_vulnerabilities(_rows(complete_lines(decode(data))), _vulnerability)


def _rows(lines: list[str]) -> Iterator[Record[list[str]]]:
    header = list[str]()
    for number, line in enumerate(lines, start=1):
        cells = line.rstrip("\r").split(",")
        if header:
            yield Record(f"line {number}", clean(cells[0], 80), cells)
        elif cells[:2] == ["cve", "epss"]:
            header = cells
        elif not line.startswith("#"):
            raise FeedError(f"line {number}: expected the header 'cve,epss,percentile'")


def _vulnerability(cells: list[str]) -> Vulnerability:
    name, score, *_ = (*cells, "")
    probability = float(score)
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"EPSS {clean(score, 40)!r} is no probability")
    return Vulnerability(vulnerability_id(name), epss=probability)
