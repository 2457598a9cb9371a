"""The bundle that comes with the product."""

import pytest

from forestall.domain.advisory import Exploitation
from forestall.feeds.bundle import BUNDLE, load_bundle
from forestall.feeds.document import unpack
from forestall.feeds.feed import FEEDS
from forestall.feeds.fetch import find_file

COUNTS = {
    "debian-advisories": 2629,
    "debian-uploads": 832,
    "kev": 1662,
    "epss": 9876,
    "cve5": 1958,
    "cve-descriptions": 4203,
}


@pytest.mark.parametrize(("name", "records"), COUNTS.items())
def test_every_record_of_the_bundle_is_accepted(name: str, records: int):
    (feed,) = (feed for feed in FEEDS if feed.name == name)
    path = find_file(feed, BUNDLE)
    assert path is not None
    result = feed.parse(unpack(path.read_bytes(), feed.limits.unpacked_bytes))
    assert (result.records, result.refused) == (records, ())


def test_there_is_no_file_in_the_bundle_that_nothing_reads():
    read = {find_file(feed, BUNDLE) for feed in FEEDS}
    assert {path for path in BUNDLE.iterdir() if path.name != "README.md"} <= read


def test_the_bundle_joins_into_one_catalogue():
    """P1.2: 429 of the 832 uploads are advisories that have a number."""
    found = load_bundle()
    assert len(found.advisories) == 2629 + 832 - 429
    named = {name for advisory in found.advisories for name in advisory.vulnerabilities}
    exploited = {name for name, fact in found.facts.items() if fact.exploitation is Exploitation.ACTIVE}
    assert len(named & exploited) == 75
