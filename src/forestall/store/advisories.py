"""What the sources published, as each last said it; joining them is the feeds' part."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields

from sqlalchemy import Connection, delete, select

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
from forestall.domain.product import key_of
from forestall.store.bulk import copy_in
from forestall.store.tables import advisory, product, vulnerability

_ADVISORY = ("feed", "id", "title", "published_at", "vulnerabilities", "origin")
_PRODUCT = ("feed", "advisory", "position", "release", "source", "status", "fixed", "fixed_key")
_VULNERABILITY = tuple(field.name for field in fields(Vulnerability))


def save(con: Connection, feed: str, catalogue: Catalogue) -> None:
    """Put a source's catalogue in the place of what it said before."""
    for table in (advisory, product, vulnerability):
        con.execute(delete(table).where(table.c.feed == feed))
    copy_in(con, advisory, _ADVISORY, (_advisory_row(feed, each) for each in catalogue.advisories))
    copy_in(con, product, _PRODUCT, _product_rows(feed, catalogue))
    copy_in(
        con,
        vulnerability,
        ("feed", *_VULNERABILITY),
        (_vulnerability_row(feed, each) for each in catalogue.facts.values()),
    )


def mended_by(con: Connection, release: str, source: str, fixed: str) -> frozenset[VulnerabilityId]:
    """List the vulnerabilities that exactly this version of a source package mends."""
    same = (product.c.feed == advisory.c.feed) & (product.c.advisory == advisory.c.id)
    of_update = (product.c.release == release) & (product.c.source == source) & (product.c.fixed == fixed)
    rows = con.execute(select(advisory.c.vulnerabilities).join(product, same).where(of_update)).scalars()
    return frozenset(VulnerabilityId(name) for names in rows for name in names)


def load(con: Connection) -> dict[str, Catalogue]:
    """Read what each source last said, by its name."""
    products = defaultdict[tuple[str, str], list[Product]](list)
    for row in con.execute(select(product).order_by(product.c.feed, product.c.advisory, product.c.position)):
        line = Product(row.release, row.source, ProductStatus(row.status), row.fixed)
        products[row.feed, row.advisory].append(line)
    advisories = defaultdict[str, list[Advisory]](list)
    for row in con.execute(select(advisory).order_by(advisory.c.published_at, advisory.c.id)):
        advisories[row.feed].append(
            Advisory(
                AdvisoryId(row.id),
                row.title,
                row.published_at,
                tuple(map(VulnerabilityId, row.vulnerabilities)),
                tuple(products[row.feed, row.id]),
                row.origin,
            )
        )
    facts = defaultdict[str, dict[VulnerabilityId, Vulnerability]](dict)
    columns = [vulnerability.c[name] for name in _VULNERABILITY]
    for name, *values in con.execute(select(vulnerability.c.feed, *columns)):
        known = dict(zip(_VULNERABILITY, values, strict=True))
        known["exploitation"] = Exploitation(known["exploitation"])
        known["weaknesses"] = tuple(known["weaknesses"])
        facts[name][known["id"]] = Vulnerability(**known)
    return {name: Catalogue(tuple(advisories[name]), facts[name]) for name in sorted({*advisories, *facts})}


def flaws_of(con: Connection, release: str, source: str, version: str) -> list[VulnerabilityId]:
    """List what an update closes, from the advisories that name it."""
    statement = (
        select(advisory.c.vulnerabilities)
        .join(product, (product.c.feed == advisory.c.feed) & (product.c.advisory == advisory.c.id))
        .where(product.c.release == release, product.c.source == source, product.c.fixed == version)
        .order_by(advisory.c.published_at, advisory.c.id)
    )
    found = (name for names in con.execute(statement).scalars() for name in names)
    return [VulnerabilityId(name) for name in dict.fromkeys(found)]


def _advisory_row(feed: str, each: Advisory) -> tuple[object, ...]:
    return feed, each.id, each.title, each.published_at, list(each.vulnerabilities), each.origin


def _product_rows(feed: str, catalogue: Catalogue) -> Iterator[tuple[object, ...]]:
    for each in catalogue.advisories:
        for position, line in enumerate(each.products):
            key = key_of(line.release, line.fixed) if line.fixed is not None else None
            yield feed, each.id, position, line.release, line.source, line.status, line.fixed, key


def _vulnerability_row(feed: str, each: Vulnerability) -> tuple[object, ...]:
    values = (getattr(each, name) for name in _VULNERABILITY)
    return feed, *(list(value) if isinstance(value, tuple) else value for value in values)
