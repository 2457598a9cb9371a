"""The feeds: one row a source, in order of authority (P1.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from forestall.domain.errors import InputError
from forestall.feeds import (
    cve5,
    cve_descriptions,
    debian_advisories,
    debian_tracker,
    debian_uploads,
    epss,
    kev,
    recipes,
)
from forestall.feeds.result import FeedResult


@dataclass(frozen=True, slots=True)
class Limits:
    """What one source may cost at most."""

    packed_bytes: int = 50_000_000
    unpacked_bytes: int = 100_000_000
    download_seconds: float = 120.0
    parse_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Feed:
    """One source of advisories or facts."""

    name: str
    files: tuple[str, ...]
    """Names it has in a directory, as patterns; of several that fit the last by name is the newest."""
    interval: timedelta
    parse: Callable[[bytes], FeedResult]
    url: str = ""
    """Where it is published; empty where it has no one address and comes from a file."""
    limits: Limits = Limits()


_TRACKER = "https://salsa.debian.org/security-tracker-team/security-tracker/-/raw/master/data"

FEEDS = (
    Feed(
        "debian-dsa",
        ("dsa-list*", "DSA.list"),
        timedelta(hours=1),
        debian_tracker.parse,
        f"{_TRACKER}/DSA/list",
    ),
    Feed(
        "debian-dla",
        ("dla-list*", "DLA.list"),
        timedelta(hours=1),
        debian_tracker.parse,
        f"{_TRACKER}/DLA/list",
    ),
    Feed("debian-advisories", ("advisories*.jsonl*",), timedelta(hours=1), debian_advisories.parse),
    Feed("debian-uploads", ("*uploads*.jsonl*",), timedelta(hours=1), debian_uploads.parse),
    Feed("recipes", ("*.recipe.json",), timedelta(hours=1), recipes.parse),
    Feed("cve5", ("cve5-records*.jsonl*",), timedelta(hours=6), cve5.parse),
    Feed(
        "kev",
        ("known_exploited_vulnerabilities.json*", "known_exploited_vulnerabilities-[0-9]*.json*"),
        timedelta(hours=2),
        kev.parse,
        "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
    ),
    Feed(
        "epss",
        ("epss_scores*.csv*",),
        timedelta(hours=24),
        epss.parse,
        "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
    ),
    Feed("cve-descriptions", ("descriptions*.jsonl*",), timedelta(hours=24), cve_descriptions.parse),
)
"""Of two sources that contradict each other the earlier row is believed."""


def feed_named(name: str) -> Feed:
    """Find a feed.

    Raises:
        InputError: there is none of that name; those that exist are listed.
    """
    for feed in FEEDS:
        if feed.name == name:
            return feed
    raise InputError(f"there is no feed {name!r}; there are {', '.join(feed.name for feed in FEEDS)}")
