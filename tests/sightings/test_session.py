"""RADIUS accounting requests become sightings; whatever is in them, nobody becomes managed by it (P6.1, P6.2)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.device import SiteId
from forestall.domain.sighting import Sighting, Source
from forestall.sightings.session import Client, Clients, sightings_of

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MAIN, OSAKA = SiteId("main"), SiteId("osaka")
CLIENTS = Clients({"10.0.0.3": Client("sw-2f", OSAKA)}, MAIN)
MAC, IP = "52:54:00:00:00:11", "10.0.0.21"
SEEN = Sighting(Source.LOGIN, MAIN, NOW, MAC, IP)
START = {
    "Acct-Status-Type": ["Start"],
    "Calling-Station-Id": ["52-54-00-00-00-11"],
    "Framed-IP-Address": [IP],
}


def read(**more: object) -> list[Sighting]:
    given = {**START, **{name.replace("_", "-"): value for name, value in more.items()}}
    return sightings_of({name: value for name, value in given.items() if value is not None}, CLIENTS, NOW)


def at(minutes: int) -> datetime:
    return NOW - timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        pytest.param({}, SEEN, id="who, and with which address"),
        pytest.param(
            {
                "NAS_IP_Address": ["10.0.0.3"],
                "NAS_Port_Id": ["Gi1/0/7"],
                "NAS_Port": ["50107"],
                "User_Name": ["ann"],
            },
            Sighting(Source.LOGIN, OSAKA, NOW, MAC, IP, user="ann", port="sw-2f Gi1/0/7"),
            id="a RADIUS client that the settings know has their name and site",
        ),
        pytest.param(
            {"NAS_IP_Address": ["10.0.0.4"], "NAS_Port": ["7"]},
            SEEN._replace(port="10.0.0.4 7"),
            id="one that they do not know",
        ),
        pytest.param(
            {"NAS_Identifier": ["ap\x1b[31m"], "NAS_Port_Id": ["x" * 500]},
            SEEN._replace(port="ap [31m " + "x" * 111 + "…"),
            id="hostile text",
        ),
        pytest.param({"User_Name": ["CORP\\ann"]}, SEEN._replace(user="ann"), id="domain and user"),
        pytest.param({"User_Name": ["52540000 0011".replace(" ", "")]}, SEEN, id="a machine by its address"),
        pytest.param({"User_Name": ["host/pc.example.com"]}, SEEN, id="a machine by its name"),
        pytest.param(
            {"User_Name": ["ann@x"], "Stripped_User_Name": ["ann"]},
            SEEN._replace(user="ann"),
            id="the name without its realm",
        ),
        pytest.param(
            {"Framed_IP_Address": None}, Sighting(Source.LOGIN, MAIN, NOW, MAC), id="no address yet"
        ),
        pytest.param(
            {"Calling_Station_Id": ["203.0.113.7"]},
            Sighting(Source.LOGIN, MAIN, NOW, "", IP),
            id="a VPN: no hardware address",
        ),
        pytest.param(
            {"Acct_Delay_Time": ["600"]}, SEEN._replace(seen_at=at(10)), id="sent again after ten minutes"
        ),
        pytest.param(
            {"Event_Timestamp": ["Nov 25 2026 11:30:00 UTC"]},
            SEEN._replace(seen_at=at(30)),
            id="when it happened, as FreeRADIUS prints it",
        ),
        pytest.param(
            {"Event_Timestamp": ["1795606200"]}, SEEN._replace(seen_at=at(30)), id="the same as a number"
        ),
        pytest.param(
            {"Event_Timestamp": ["Nov 25 2099 11:30:00 UTC"]},
            SEEN,
            id="a clock that is ahead makes nothing fresher",
        ),
        pytest.param({"Event_Timestamp": ["whenever"]}, SEEN, id="an instant that nobody can read"),
        pytest.param(
            {"TLS_Client_Cert_Common_Name": ["m-1"]}, SEEN, id="a certificate that nobody verified here"
        ),
    ],
)
def test_a_request_is_a_sighting(more: dict[str, object], wanted: Sighting):
    assert read(**more) == [wanted]


@pytest.mark.parametrize(
    "written",
    [
        "52-54-00-00-00-11",
        "52:54:00:00:00:11",
        "525400000011",
        "5254.0000.0011",
        "52-54-00-00-00-11 ",
        "5254-0000-0011",
    ],
)
def test_a_hardware_address_however_it_is_written(written: str):
    (found,) = read(Calling_Station_Id=[written])
    assert found.hardware == MAC


@pytest.mark.parametrize("status", ["Start", "Stop", "Interim-Update", "Alive", "1", "2", "3"])
def test_start_interim_and_stop_are_sightings(status: str):
    assert len(read(Acct_Status_Type=[status])) == 1


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"Acct_Status_Type": ["Accounting-On"]}, id="a switch that starts"),
        pytest.param({"Acct_Status_Type": None}, id="no status"),
        pytest.param(
            {"Calling_Station_Id": ["ann's phone"], "Framed_IP_Address": ["10.0.0.999"]}, id="nobody"
        ),
        pytest.param(
            {"Calling_Station_Id": None, "Framed_IP_Address": ["255.255.255.254"]},
            id="an address that the client chooses",
        ),
        pytest.param(
            {"Event_Timestamp": ["Nov 23 2026 11:30:00 UTC"]},
            id="the day before yesterday: a replay, or a wrong clock",
        ),
        pytest.param({"Acct_Delay_Time": ["999999999"]}, id="sent for years"),
    ],
)
def test_what_tells_of_nobody_is_nothing(more: dict[str, object]):
    assert read(**more) == []


def test_all_addresses_of_a_session():
    found = read(Framed_IPv6_Address=["2001:db8::1", "fe80::1", "x"])
    assert [each.address for each in found] == [IP, "2001:db8::1"]


TEXTS = st.text(max_size=40) | st.sampled_from(
    ["Start", IP, "::1", MAC, "9" * 30, "Nov 25 2026 11:30:00 UTC"]
)
NAMES = st.sampled_from(
    [
        "Acct-Status-Type",
        "Calling-Station-Id",
        "Framed-IP-Address",
        "Framed-IPv6-Address",
        "NAS-IP-Address",
        "NAS-Port-Id",
        "User-Name",
        "Event-Timestamp",
        "Acct-Delay-Time",
    ]
)


@given(st.dictionaries(NAMES, st.lists(TEXTS, max_size=3)))
def test_no_attributes_break_it(given: dict[str, list[str]]):
    for sighting in sightings_of({"Acct-Status-Type": ["Start"], **given}, CLIENTS, NOW):
        assert sighting.seen_at <= NOW
        assert sighting.certificate == ""
        assert all(text.isprintable() for text in sighting if isinstance(text, str))
