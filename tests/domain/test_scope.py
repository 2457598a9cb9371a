"""Where probes may go: named networks, and nowhere else (P6.2)."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.address import read_address
from forestall.domain.device import SiteId
from forestall.domain.scope import Area, Scope

BERLIN = Area(
    SiteId("berlin"), (ip_network("10.1.0.0/16"), ip_network("2001:db8:1::/48")), (ip_network("10.1.9.0/24"),)
)
OSAKA = Area(SiteId("osaka"), (ip_network("10.1.9.0/28"), ip_network("10.2.0.0/30"), ip_network("0.0.0.0/0")))
SCOPE = Scope((BERLIN, OSAKA))


@pytest.mark.parametrize(
    ("text", "site"),
    [
        pytest.param("10.1.0.1", "berlin", id="in a named network"),
        pytest.param("2001:db8:1::7", "berlin", id="IPv6 in a named network"),
        pytest.param("::ffff:10.1.0.1", "berlin", id="IPv4 in IPv6 clothes is judged as IPv4"),
        pytest.param("10.1.9.3", None, id="spared in one area is spared in all"),
        pytest.param("::ffff:10.1.9.3", None, id="spared, in IPv6 clothes"),
        pytest.param("192.0.2.1", "osaka", id="in a network that allows all"),
        pytest.param("224.0.0.1", None, id="multicast, although all is allowed"),
        pytest.param("255.255.255.255", None, id="broadcast, although all is allowed"),
        pytest.param("0.0.0.0", None, id="nobody, although all is allowed"),  # noqa: S104 - an address to refuse
        pytest.param("2001:db8:2::7", None, id="named nowhere"),
    ],
)
def test_an_address_is_allowed_where(text: str, site: str | None):
    address = read_address(text)
    assert address is not None
    area = SCOPE.area_of(address)
    assert (area.site if area else None) == site


@pytest.mark.parametrize(
    "text", ["", "localhost", "10.1.0.1/16", "10.1.0", "fe80::1%eth0", "010.1.0.1", "10.1.0.1 ", "-iL"]
)
def test_only_literal_addresses_are_read(text: str):
    assert read_address(text) is None


def test_an_empty_scope_allows_nothing():
    assert Scope().area_of(ip_address("127.0.0.1")) is None
    assert list(Scope().addresses()) == []


def test_a_sweep_visits_each_address_once_and_no_spared_one():
    one = Area(
        SiteId("a"), (ip_network("10.0.0.0/29"), ip_network("10.0.0.0/29")), (ip_network("10.0.0.4/31"),)
    )
    other = Area(SiteId("b"), (ip_network("10.0.0.0/28"), ip_network("2001:db8::/32")))
    found = [(str(address), area.site) for address, area in Scope((one, other)).addresses()]
    assert [address for address, site in found if site == "a"] == [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.6",
    ]
    assert len({address for address, _ in found}) == len(found)
    assert not {"10.0.0.4", "10.0.0.5"} & {address for address, _ in found}


@given(st.ip_addresses())
def test_what_is_allowed_lies_in_a_network_of_its_area_and_is_not_spared(address):
    area = SCOPE.area_of(address)
    if area is not None:
        assert any(address in network for network in area.networks)
        assert not any(address in network for each in SCOPE.areas for network in each.spared)
