"""A status file from a stranger's machine: read, or refused for that machine alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.agent.inventory import dpkg_status
from forestall.agent.inventory.dpkg_status import MOST_PACKAGES, read_status
from forestall.domain.errors import InputError
from forestall.domain.inventory import Inventory, PackageState

STANZA = "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nSource: src (1.0)\nVersion: {version}\n\n"

words = st.sampled_from(
    [
        "Package: a0",
        "Status: install ok installed",
        "Status: x",
        "Version: 1",
        "Architecture: amd64",
        "Source: b0 (2)",
        "",
        " x",
    ]
)


def test_the_source_and_its_version_are_told_from_the_binary():
    text = STANZA.format(name="liba1", version="1.0+b2") + STANZA.format(
        name="base-files", version="12.4+deb12u11"
    )
    inventory = read_status(text)
    assert inventory.release == "bookworm"
    first = inventory.packages[0]
    assert (first.version, first.source, first.source_version) == ("1.0+b2", "src", "1.0")
    assert first.state is PackageState.INSTALLED


def test_a_million_packages_are_no_machine():
    text = STANZA.format(name="aa", version="1") * (MOST_PACKAGES + 1)
    with pytest.raises(InputError, match="more than 200000 packages"):
        read_status(text, "bookworm")


def test_every_release_in_support_is_known():
    assert {"bullseye", "bookworm", "trixie"} <= set(dpkg_status.RELEASES.values())


@given(st.lists(words, max_size=12).map("\n".join) | st.text(max_size=80))
def test_any_text_is_an_inventory_or_refused(text: str):
    try:
        assert isinstance(read_status(text, "bookworm"), Inventory)
    except InputError:
        return
