"""What an update is made of: packages, a KB of Windows or a recipe; each has names and versions of its own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from forestall.domain.version import dpkg_key, rpm_key, windows_key

ANY = "any"
"""The release of recipes: they are for every machine, whatever it runs."""


class ProductName(StrEnum):
    """The product of an update, as signed papers name it."""

    DEBIAN = "debian"
    RPM = "rpm"
    WINDOWS = "windows"
    RECIPE = "recipe"


@dataclass(frozen=True, slots=True)
class Grammar:
    """What names and versions of one product look like; they become paths and arguments."""

    release: re.Pattern[str]
    source: re.Pattern[str]
    version: re.Pattern[str]
    key: Callable[[str], bytes | None]
    """Turns a version into bytes that sort as this product's versions do; None for what is no version."""


GRAMMARS: Mapping[ProductName, Grammar] = {
    ProductName.DEBIAN: Grammar(
        release=re.compile(rf"(?!{ANY}$)[a-z]{{1,32}}"),
        source=re.compile(r"[a-z0-9][a-z0-9+.-]{1,127}"),
        version=re.compile(r"[A-Za-z0-9.+~:-]{1,255}"),
        key=dpkg_key,
    ),
    ProductName.RPM: Grammar(
        release=re.compile(r"(?!windows-)[a-z][a-z0-9_.-]{0,63}-[0-9]{1,4}"),
        source=re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}"),
        version=re.compile(r"(?:[0-9]{1,10}:)?[A-Za-z0-9.+_~^]{1,120}-[A-Za-z0-9.+_~^]{1,120}"),
        key=rpm_key,
    ),
    ProductName.WINDOWS: Grammar(
        release=re.compile(r"windows-[a-z0-9]{1,16}(?:-[a-z0-9]{1,16})?"),
        source=re.compile(r"KB[0-9]{6,8}"),
        version=re.compile(r"10\.0\.[0-9]{1,7}\.[0-9]{1,7}|[0-9]{1,7}"),
        key=windows_key,
    ),
    ProductName.RECIPE: Grammar(
        release=re.compile(ANY),
        source=re.compile(r"[a-z0-9][a-z0-9+.-]{1,127}"),
        version=re.compile(r"[0-9][A-Za-z0-9.+~-]{0,127}"),
        key=dpkg_key,
    ),
}
"""No release belongs to two products: `bookworm`, `fedora-40`, `windows-11-24h2`, `any`."""


@lru_cache(maxsize=1_024)
def product_of(release: str) -> ProductName:
    """Say what the updates of a release are made of."""
    for name in (ProductName.RECIPE, ProductName.RPM, ProductName.WINDOWS):
        if GRAMMARS[name].release.fullmatch(release):
            return name
    return ProductName.DEBIAN


def key_of(release: str, version: str) -> bytes | None:
    """Turn a version into bytes that sort as the versions of this release do; None for what is no version."""
    return GRAMMARS[product_of(release)].key(version)


def is_update(product: str, release: str, source: str, version: str) -> bool:
    """Say whether there can be an update of these names."""
    if product not in set(ProductName):
        return False
    grammar = GRAMMARS[ProductName(product)]
    return bool(
        grammar.release.fullmatch(release)
        and grammar.source.fullmatch(source)
        and grammar.version.fullmatch(version)
        and grammar.key(version) is not None
    )
