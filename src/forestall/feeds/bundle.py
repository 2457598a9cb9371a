"""The advisories and facts that come with the product: what there is before the first fetch."""

from pathlib import Path

from forestall.domain.advisory import Catalogue
from forestall.feeds.document import unpack
from forestall.feeds.feed import FEEDS
from forestall.feeds.fetch import find_file
from forestall.feeds.merge import merge

BUNDLE = Path(__file__).parent / "bundled"


def load_bundle() -> Catalogue:
    """Read the bundle; its files are our own, so they are parsed here and not in a child."""
    found = ((feed, find_file(feed, BUNDLE)) for feed in FEEDS)
    return merge(
        feed.parse(unpack(path.read_bytes(), feed.limits.unpacked_bytes)).catalogue
        for feed, path in found
        if path
    )
