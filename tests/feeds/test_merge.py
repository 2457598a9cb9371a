"""Many sources, one catalogue (P1.2); and what may not replace the last good copy."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.advisory import (
    Advisory,
    AdvisoryId,
    Catalogue,
    Exploitation,
    Product,
    ProductStatus,
    Vulnerability,
    VulnerabilityId,
)
from forestall.feeds.merge import keep_last_good, merge, shrank
from forestall.feeds.result import FeedResult, Refusal

NAME = VulnerabilityId("CVE-2026-0001")
DAY = datetime(2026, 8, 7, tzinfo=UTC)
BOOKWORM = Product("bookworm", "openssl", ProductStatus.FIXED, "3.0.2")
TRACKER = Advisory(
    AdvisoryId("DSA-1-1"), "openssl - security update", DAY, (NAME,), (BOOKWORM,), "debian-tracker"
)
UPLOAD = replace(
    TRACKER, title="openssl 3.0.2", origin="debian-uploads", published_at=DAY - timedelta(hours=5)
)


def facts(*vulnerabilities: Vulnerability) -> Catalogue:
    return Catalogue(facts={vulnerability.id: vulnerability for vulnerability in vulnerabilities})


def test_an_upload_and_its_advisory_are_one_thing():
    """P1.2, P1.3: public since the earlier of the two."""
    (found,) = merge([Catalogue((TRACKER,)), Catalogue((UPLOAD,))]).advisories
    assert found.title == TRACKER.title
    assert found.published_at == UPLOAD.published_at
    assert found.products == (BOOKWORM,)


def test_the_earlier_source_is_believed_where_two_contradict():
    other = replace(UPLOAD, products=(replace(BOOKWORM, fixed="3.0.9"), replace(BOOKWORM, release="trixie")))
    (found,) = merge([Catalogue((TRACKER,)), Catalogue((other,))]).advisories
    assert [(product.release, product.fixed) for product in found.products] == [
        ("bookworm", "3.0.2"),
        ("trixie", "3.0.2"),
    ]


def test_what_many_sources_say_of_one_vulnerability_is_one():
    found = merge(
        [
            facts(
                Vulnerability(NAME, title="T", cvss_vector="V", cvss_score=7.0, exploitation=Exploitation.POC)
            ),
            facts(
                Vulnerability(
                    NAME, title="K", exploitation=Exploitation.ACTIVE, exploited_since=date(2026, 8, 7)
                )
            ),
            facts(Vulnerability(NAME, epss=0.0)),
            facts(Vulnerability(NAME, epss=0.5, automatable=True, rejected=True)),
        ]
    ).facts
    assert found == {
        NAME: Vulnerability(
            NAME,
            title="T",
            cvss_vector="V",
            cvss_score=7.0,
            exploitation=Exploitation.ACTIVE,
            exploited_since=date(2026, 8, 7),
            epss=0.0,
            automatable=True,
            rejected=True,
        )
    }


def test_a_score_without_its_vector_does_not_beat_one_with():
    merged = merge(
        [
            facts(Vulnerability(NAME, cvss_score=9.0)),
            facts(Vulnerability(NAME, cvss_score=5.0, cvss_vector="V")),
        ]
    )
    assert (merged.facts[NAME].cvss_score, merged.facts[NAME].cvss_vector) == (5.0, "V")


vulnerabilities = st.builds(
    Vulnerability, st.just(NAME), exploitation=st.sampled_from(Exploitation), epss=st.none() | st.floats(0, 1)
)


@given(st.lists(vulnerabilities.map(facts), min_size=1, max_size=4))
def test_merging_twice_changes_nothing(catalogues: list[Catalogue]):
    once = merge(catalogues)
    assert merge([once]) == once
    assert merge([once, *catalogues]) == once


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        pytest.param(100, 100, False, id="as many as before"),
        pytest.param(100, 95, False, id="five of a hundred gone"),
        pytest.param(100, 94, True, id="six of a hundred gone"),
        pytest.param(1, 0, True, id="the only one gone"),
        pytest.param(0, 0, False, id="never had any"),
    ],
)
def test_a_feed_that_shrank_is_held_for_a_person(before: int, after: int, held: bool):
    assert shrank(before, after) is held


def test_a_refused_record_keeps_its_last_good_copy():
    fresh = FeedResult(Catalogue(), 0, (Refusal("DSA-1-1", "line 1: bad"), Refusal(NAME, "line 2: bad")))
    before = Catalogue((TRACKER, replace(TRACKER, id=AdvisoryId("DSA-2-1"))), {NAME: Vulnerability(NAME)})
    assert keep_last_good(before, fresh) == Catalogue((TRACKER,), {NAME: Vulnerability(NAME)})


def test_a_record_that_came_twice_is_the_fresh_one():
    new = replace(TRACKER, title="new")
    fresh = FeedResult(Catalogue((new,)), 1, (Refusal("DSA-1-1", "line 2: DSA-1-1 appears a second time"),))
    old = replace(TRACKER, products=(replace(BOOKWORM, release="buster"),))
    assert keep_last_good(Catalogue((old,)), fresh) == Catalogue((new,))
