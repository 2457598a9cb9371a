"""A company's own recipe files: each says which update it is, beside what is done (docs/installers.md)."""

from forestall.domain.advisory import Advisory, AdvisoryId, Product, ProductStatus
from forestall.domain.errors import FeedError
from forestall.domain.remediation import parts_of
from forestall.feeds.document import Record, clean, vulnerability_id
from forestall.feeds.result import FeedResult, read_advisories
from forestall.trust.recipe import RecipeFile, read_recipe_file


def parse(data: bytes) -> FeedResult:
    """Read one file; what the recipe does is looked at by those who sign it."""
    found = read_recipe_file(data)
    if isinstance(found, str):
        raise FeedError(f"this is no recipe file: {clean(found, 300)}")
    return read_advisories([Record("the file", found.update, found)], _advisory)


def _advisory(found: RecipeFile) -> Advisory:
    release, source, version = parts_of(found.update)
    return Advisory(
        AdvisoryId(f"recipe:{source}:{version}"),
        clean(found.title, 200),
        found.published_at,
        tuple(dict.fromkeys(vulnerability_id(name) for name in found.vulnerabilities)),
        (Product(release, source, ProductStatus.FIXED, version),),
        "recipes",
    )
