"""Tables that others keep become sightings; a bad row is refused by its place and the others go on (P6.2)."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.domain.sighting import Sighting, Source
from forestall.sightings import cell
from forestall.sightings.kinds import KINDS, kind_named

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SITE = SiteId("main")
MAC, IP = "02:fc:00:00:00:05", "192.0.2.1"


def at(minutes_ago: float) -> datetime:
    return NOW - timedelta(minutes=minutes_ago)


def read(kind: str, text: str):
    return kind_named(kind).read(text.encode(), SITE, NOW)


def one(kind: str, text: str) -> Sighting:
    found = read(kind, text)
    assert found.refusals == []
    (sighting,) = found.sightings
    return sighting


NEIGHBOURS = """[{"dst":"192.0.2.1","dev":"eth0","lladdr":"02:fc:00:00:00:05","used":142,"confirmed":60,"updated":97,
"probes":1,"state":["STALE"]},{"dst":"fd00::1","dev":"eth0","used":1807,"confirmed":1867,"updated":1804,"probes":6,
"state":["FAILED"]},{"dst":"192.0.2.9","dev":"eth0","lladdr":"02:fc:00:00:00:09","state":["INCOMPLETE"]}]"""

ISC = """# The format of this file is documented in dhcpd.leases(5)
lease 192.0.2.1 {
  starts 3 2026/11/25 08:00:00;
  binding state active;
  hardware ethernet 02:fc:00:00:00:01;
}
lease 192.0.2.1 {
  starts 3 2026/11/25 11:00:00;
  ends 3 2026/11/25 13:00:00;
  cltt 3 2026/11/25 11:30:00;
  binding state active;
  hardware ethernet 02:fc:00:00:00:05;
  uid "\\001}\\002";
  client-hostname "desk \\"7\\"";
}
lease 192.0.2.3 {
  starts epoch 1795600000;
  binding state abandoned;
  hardware ethernet 02:fc:00:00:00:03;
}
"""

KEA = """address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context
192.0.2.1,02:fc:00:00:00:01,,4000,{old},1,0,0,old.example.,0,
192.0.2.1,02:fc:00:00:00:05,01:02,4000,{new},1,0,0,desk.example.,0,
192.0.2.8,02:fc:00:00:00:08,,4000,{new},1,0,0,gone,2,
"""

ACCOUNTING = (
    "radacctid,username,nasipaddress,nasportid,acctstarttime,acctupdatetime,acctstoptime,callingstationid,"
    "framedipaddress,tls_client_cert_common_name\n"
    "1,ann,10.0.0.2,Gi1/0/7,2026-11-25 11:00:00+00,2026-11-25 11:50:00+00,,02-FC-00-00-00-05,"
    "192.0.2.1,m-0011223344556677\n"
)


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        pytest.param(
            "neighbours",
            NEIGHBOURS,
            Sighting(Source.NEIGHBOUR, SITE, at(1), MAC, IP, port="eth0"),
            id="`ip -j -s neigh`; failed entries are nobody",
        ),
        pytest.param(
            "dnsmasq",
            f"{int(NOW.timestamp()) + 60} {MAC} {IP} desk 01:02\n",
            Sighting(Source.LEASE, SITE, NOW, MAC, IP, "desk"),
            id="a running lease of dnsmasq",
        ),
        pytest.param(
            "dnsmasq",
            f"{int(at(5).timestamp())} {MAC} {IP} * *\n",
            Sighting(Source.LEASE, SITE, at(5), MAC, IP),
            id="a lease that ended",
        ),
        pytest.param(
            "dnsmasq",
            f"0 {MAC} {IP} * *\nduid 00:01:00:01\n",
            Sighting(Source.LEASE, SITE, NOW, MAC, IP),
            id="a lease that never ends",
        ),
        pytest.param(
            "isc",
            ISC,
            Sighting(Source.LEASE, SITE, at(30), MAC, IP, 'desk \\"7\\"'),
            id="ISC: the last entry of an address counts",
        ),
        pytest.param(
            "kea",
            KEA.format(old=int(at(0).timestamp()), new=int(at(0).timestamp()) + 3_400),
            Sighting(Source.LEASE, SITE, at(10), MAC, IP, "desk.example"),
            id="Kea: a journal, reclaimed leases are nobody",
        ),
        pytest.param(
            "forwarding",
            f"Switch,Port,MAC,vlan\nsw1,Gi1/0/7,{MAC.replace(':', '')},10\n",
            Sighting(Source.FORWARDING, SITE, NOW, MAC, port="sw1 Gi1/0/7", vlan=10),
            id="a switch's table",
        ),
        pytest.param(
            "accounting",
            ACCOUNTING,
            Sighting(
                Source.LOGIN,
                SITE,
                at(10),
                MAC,
                IP,
                user="ann",
                port="10.0.0.2 Gi1/0/7",
                certificate="m-0011223344556677",
            ),
            id="RADIUS accounting; only the verified certificate is one",
        ),
        pytest.param(
            "csv",
            f"\ufeffname,hardware,address,user,site,seen_at\ndesk,02FC.0000.0005,{IP},ann,osaka,2026-11-25T11:00:00\n",
            Sighting(Source.BOOKS, SiteId("osaka"), at(60), MAC, IP, "desk", "ann"),
            id="an inventory as CSV",
        ),
        pytest.param(
            "json",
            json.dumps([{"hardware": MAC, "address": IP, "name": None}]),
            Sighting(Source.BOOKS, SITE, NOW, MAC, IP),
            id="an inventory as JSON",
        ),
        pytest.param(
            "csv",
            f"address,seen_at\n{IP},2099-01-01T00:00:00Z\n",
            Sighting(Source.BOOKS, SITE, NOW, address=IP),
            id="a clock that is ahead makes nothing fresher",
        ),
        pytest.param(
            "csv",
            "address\n::ffff:192.0.2.1\n",
            Sighting(Source.BOOKS, SITE, NOW, address=IP),
            id="IPv4 in IPv6 clothes",
        ),
        pytest.param(
            "csv",
            f"address,certificate\n{IP},m-1\n",
            Sighting(Source.BOOKS, SITE, NOW, address=IP),
            id="a list cannot claim a certificate",
        ),
    ],
)
def test_a_row_is_a_sighting(kind: str, text: str, wanted: Sighting):
    assert one(kind, text) == wanted


@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t=", "'"])
def test_a_cell_is_text_whatever_it_begins_with(mark: str):
    formula = f'{mark}HYPERLINK("http://192.0.2.9","x")'
    quoted = '"' + formula.replace('"', '""') + '"'
    assert one("csv", f"address,name\n{IP},{quoted}\n").name == formula.strip()


@pytest.mark.parametrize(
    ("kind", "text", "where", "why"),
    [
        pytest.param(
            "csv",
            "address\n10.0.0.1\n10.0.0.300\n10.0.0.2\n",
            "line 3",
            "'10.0.0.300' is no IP address",
            id="no address",
        ),
        pytest.param(
            "csv",
            "hardware\n02:fc:00:00:00:01\nzz\n02:fc:00:00:00:02\n",
            "line 3",
            "'zz' is no hardware address",
            id="no hardware address",
        ),
        pytest.param(
            "csv",
            "name,address\na,10.0.0.1\nb,\nc,10.0.0.2\n",
            "line 3",
            "neither hardware nor address",
            id="nobody",
        ),
        pytest.param(
            "csv", "address,seen_at\n10.0.0.1,\n10.0.0.3,soon\n10.0.0.2,\n", "line 3", "soon", id="no instant"
        ),
        pytest.param(
            "csv",
            "address,seen_at\n10.0.0.1,\n10.0.0.3,99999999999999999999\n10.0.0.2,\n",
            "line 3",
            "",
            id="an instant beyond all time",
        ),
        pytest.param(
            "json",
            '[{"address":"10.0.0.1"},7,{"address":"10.0.0.2"}]',
            "entry 2",
            "is no object",
            id="no object",
        ),
        pytest.param(
            "neighbours",
            '[{"dst":"10.0.0.1","lladdr":"02:fc:00:00:00:01"},{"lladdr":"02:fc:00:00:00:01"},{"dst":"10.0.0.2","lladdr":"02:fc:00:00:00:01"}]',
            "entry 2",
            "dst",
            id="an entry without its address",
        ),
        pytest.param(
            "dnsmasq",
            f"0 {MAC} 10.0.0.1 * *\n0 {MAC}\n0 {MAC} 10.0.0.2 * *\n",
            "line 2",
            "expected: end",
            id="half a line",
        ),
        pytest.param(
            "csv",
            "address\n10.0.0.1\n\x1b[2J\u202e10.0.0.9\n10.0.0.2\n",
            "line 3",
            "is no IP address",
            id="escape sequences",
        ),
    ],
)
def test_a_bad_row_is_refused_by_its_place_and_the_others_go_on(kind: str, text: str, where: str, why: str):
    found = read(kind, text)
    assert [each.address or each.hardware for each in found.sightings][-1:] in (
        ["10.0.0.2"],
        ["02:fc:00:00:00:02"],
    )
    assert (len(found.sightings), found.refused) == (2, 1)
    (refusal,) = found.refusals
    assert refusal.where == where
    assert why in refusal.reason
    assert refusal.reason.isprintable()


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        pytest.param(
            "forwarding",
            "port,vlan\n1,2\n",
            "line 1: the header has no column mac, switch",
            id="no such columns",
        ),
        pytest.param("csv", "address\n" + "1" * 200_000 + "\n", "not usable as CSV", id="a cell without end"),
        pytest.param("json", "{", "not usable as JSON", id="no JSON"),
        pytest.param("json", "[" * 100_000, "not usable as JSON", id="endless nesting"),
        pytest.param("neighbours", '{"dst":"10.0.0.1"}', "expected a JSON list", id="one object alone"),
    ],
)
def test_a_table_that_cannot_be_read(kind: str, text: str, why: str):
    with pytest.raises(InputError, match=why):
        read(kind, text)


def test_an_unknown_kind_is_answered_with_those_that_exist():
    with pytest.raises(InputError, match="there are neighbours, dnsmasq"):
        kind_named("arp")


def test_names_are_made_harmless_and_short():
    name = one("csv", f"address,name\n{IP},a\x1b[31mb\u202ec{'x' * 500}\n").name
    assert name.startswith("a [31mb c")
    assert len(name) == cell.LONGEST_TEXT


def test_only_so_many_rows_are_read(monkeypatch):
    monkeypatch.setattr(cell, "MOST_ROWS", 3)
    with pytest.raises(InputError, match="more than 3 rows"):
        read("csv", "address\n" + "10.0.0.1\n" * 4)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(
    data=st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: f"address,hardware\n{text}".encode("utf-8", "replace"))
)
def test_no_bytes_break_a_reader(kind, data: bytes):
    try:
        found = kind.read(data, SITE, NOW)
    except InputError:
        return
    for sighting in found.sightings:
        assert sighting.seen_at <= NOW
        assert all(text.isprintable() for text in sighting if isinstance(text, str))
