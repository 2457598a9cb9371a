"""Each product has names and versions of its own, and no release belongs to two of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.product import GRAMMARS, ProductName, is_update, key_of, product_of
from forestall.domain.remediation import RemediationId, by_recipe
from forestall.domain.version import dpkg_key, rpm_key, windows_key

UPDATES = [
    pytest.param("debian", "bookworm", "libstdc++6", "1:12.2.0-14+deb12u1", True, id="a package of Debian"),
    pytest.param("debian", "fedora-40", "openssl", "3.0", False, id="a package of Debian for Fedora"),
    pytest.param("debian", "bookworm", "NetworkManager", "1.0", False, id="capitals, in Debian"),
    pytest.param("debian", "bookworm", "a_b", "1.0", False, id="an underscore, in Debian"),
    pytest.param("debian", "bookworm", "openssl", "1.0^2", False, id="a caret, in Debian"),
    pytest.param("debian", "any", "openssl", "1.0", False, id="a package for everything"),
    pytest.param("rpm", "rhel-9", "NetworkManager", "1:1.46.0-4.el9_4", True, id="a package of Red Hat"),
    pytest.param("rpm", "fedora-40", "python3.12", "3.12.3^20240410-2.fc40", True, id="a caret, in Fedora"),
    pytest.param("rpm", "rhel-9", "openssl", "3.0.7", False, id="a version of rpm without its release"),
    pytest.param("rpm", "rhel-9", "-openssl", "3.0.7-1", False, id="a package that is an option"),
    pytest.param("rpm", "rhel-9", "openssl", "3.0/7-1", False, id="a version of rpm that is a path"),
    pytest.param("rpm", "bookworm", "openssl", "3.0.7-1", False, id="a package of rpm for Debian"),
    pytest.param("recipe", "any", "clamav-definitions", "27455", True, id="a recipe"),
    pytest.param("recipe", "bookworm", "clamav-definitions", "27455", False, id="a recipe for one release"),
    pytest.param("recipe", "any", "x", "1", False, id="a recipe of one letter"),
    pytest.param("recipe", "any", "definitions", "1:2", False, id="a recipe with an epoch"),
    pytest.param("windows", "windows-11-24h2", "KB5034441", "10.0.26100.3194", True, id="a build of Windows"),
    pytest.param("windows", "windows-server-2022", "KB5034441", "200", True, id="a revision, on a server"),
    pytest.param("windows", "windows-11-24h2", "KB5034441", "1.2.3.4", False, id="a build of no Windows"),
    pytest.param("windows", "windows-11-24h2", "5034441", "200", False, id="a KB without its letters"),
    pytest.param("windows", "windows-11-24h2", "KB5034441'", "200", False, id="a KB that ends a criterion"),
    pytest.param("windows", "rhel-9", "KB5034441", "200", False, id="a KB for Red Hat"),
    pytest.param(
        "rpm", "windows-server-2022", "openssl", "3.0.7-1", False, id="a package of rpm for Windows"
    ),
    pytest.param("macos", "any", "office", "16", False, id="a product that we do not know"),
]


@pytest.mark.parametrize(("product", "release", "source", "version", "can_be"), UPDATES)
def test_what_can_be_an_update_of_a_product(
    product: str, release: str, source: str, version: str, can_be: bool
) -> None:
    """R34: names become paths and arguments."""
    assert is_update(product, release, source, version) is can_be


@given(
    st.one_of(st.from_regex(grammar.release, fullmatch=True) for grammar in GRAMMARS.values())
    | st.text("abcz-_.019", max_size=12)
)
def test_no_release_belongs_to_two_products(release: str) -> None:
    owners = [name for name, grammar in GRAMMARS.items() if grammar.release.fullmatch(release)]
    assert len(owners) <= 1
    assert owners in ([], [product_of(release)])


@given(st.text("0129.~^+-:az", max_size=8))
def test_versions_sort_as_their_release_does(version: str) -> None:
    assert key_of("bookworm", version) == key_of("any", version) == dpkg_key(version)
    assert key_of("rhel-9", version) == rpm_key(version)
    assert key_of("windows-server-2022", version) == windows_key(version)


def test_only_recipes_concern_every_machine() -> None:
    assert by_recipe(RemediationId("any/definitions/27455"))
    assert not by_recipe(RemediationId("bookworm/openssl/3.0"))
    assert product_of("opensuse-leap-15") is ProductName.RPM
