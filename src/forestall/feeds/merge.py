"""Many sources into one catalogue (P1.2), and what a fresh result may put in place of the last good one."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from forestall.domain.advisory import (
    Advisory,
    AdvisoryId,
    Catalogue,
    Exploitation,
    Vulnerability,
    VulnerabilityId,
)
from forestall.feeds.result import FeedResult

LARGEST_LOSS = 0.05
"""A feed that lost more of its records than this is held for a person."""


def merge(catalogues: Iterable[Catalogue]) -> Catalogue:
    """Join catalogues by alias; of two that contradict each other the earlier is believed.

    One advisory of many sources is one advisory, an upload that names its advisory included; the facts of a
    vulnerability are what its sources say together.
    """
    advisories, facts = dict[AdvisoryId, Advisory](), dict[VulnerabilityId, Vulnerability]()
    for catalogue in catalogues:
        for advisory in catalogue.advisories:
            known = advisories.get(advisory.id)
            advisories[advisory.id] = _join_advisories(known, advisory) if known else advisory
        for name, vulnerability in catalogue.facts.items():
            said = facts.get(name)
            facts[name] = _join_vulnerabilities(said, vulnerability) if said else vulnerability
    return Catalogue(tuple(advisories.values()), facts)


def shrank(before: int, after: int) -> bool:
    """Tell whether a feed lost so many records that a person must look before it is believed."""
    return after < before * (1 - LARGEST_LOSS)


def keep_last_good(before: Catalogue, result: FeedResult) -> Catalogue:
    """Take a fresh result, with the last good copy of every record that was refused in it."""
    refused = {refusal.record for refusal in result.refused}
    refused -= {advisory.id for advisory in result.catalogue.advisories}
    refused -= result.catalogue.facts.keys()
    kept = Catalogue(
        tuple(advisory for advisory in before.advisories if advisory.id in refused),
        {name: vulnerability for name, vulnerability in before.facts.items() if name in refused},
    )
    return merge((result.catalogue, kept))


def _join_advisories(believed: Advisory, other: Advisory) -> Advisory:
    said = {(product.release, product.source) for product in believed.products}
    new = tuple(product for product in other.products if (product.release, product.source) not in said)
    return replace(
        believed,
        published_at=min(believed.published_at, other.published_at),
        vulnerabilities=believed.vulnerabilities or other.vulnerabilities,
        products=believed.products + new,
    )


def _join_vulnerabilities(believed: Vulnerability, other: Vulnerability) -> Vulnerability:
    """Fill what the believed source leaves open; the worse exploitation counts, whoever says it."""
    scored = believed if believed.cvss_vector or not other.cvss_vector else other
    return Vulnerability(
        believed.id,
        title=believed.title or other.title,
        description=believed.description or other.description,
        exploitation=max(believed.exploitation, other.exploitation, key=_WORSE.index),
        exploited_since=believed.exploited_since or other.exploited_since,
        ransomware=believed.ransomware or other.ransomware,
        epss=_first(believed.epss, other.epss),
        cvss_score=scored.cvss_score,
        cvss_vector=scored.cvss_vector,
        weaknesses=believed.weaknesses or other.weaknesses,
        automatable=_first(believed.automatable, other.automatable),
        technical_impact_total=_first(believed.technical_impact_total, other.technical_impact_total),
        rejected=believed.rejected or other.rejected,
    )


_WORSE = tuple(Exploitation)
_Value = TypeVar("_Value")


def _first(believed: _Value | None, other: _Value | None) -> _Value | None:
    return other if believed is None else believed
