"""Who may say whose a machine is, and when a person's word makes them its owner (P6.1)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.made import DAY, POLICY, START
from forestall.domain.device import Device, DeviceId, OwnerSource, SiteId
from forestall.domain.ownership import VALID_FOR, Became, Claim, ClaimId, judge_claim, judge_confirmation

NOBODYS = Device(DeviceId("u1"), "printer", SiteId("tokyo"), managed=False)
ASAS = replace(NOBODYS, owner="asa@corp.example", owner_source=OwnerSource.SELF)
CLAIM = Claim(ClaimId("o-1"), NOBODYS.id, "asa@corp.example", "en", START)


@pytest.mark.parametrize(
    ("device", "address", "counts", "became"),
    [
        pytest.param(NOBODYS, "asa@corp.example", (0, 0), Became.ASKED, id="nobody's, and a person is named"),
        pytest.param(NOBODYS, "asa@corp.example", (2, 2), Became.ASKED, id="the third time today"),
        pytest.param(NOBODYS, "asa@corp.example", (3, 0), Became.TOO_MANY, id="too often at this machine"),
        pytest.param(NOBODYS, "asa@corp.example", (0, 3), Became.TOO_MANY, id="too often for this person"),
        pytest.param(NOBODYS, "", (0, 0), Became.NO_ADDRESS, id="no address of the company"),
        pytest.param(ASAS, "eve@corp.example", (0, 0), Became.OWNED, id="it cannot be claimed away"),
        pytest.param(
            replace(NOBODYS, managed=True), "asa@corp.example", (0, 0), Became.UNKNOWN, id="it has our agent"
        ),
        pytest.param(None, "asa@corp.example", (0, 0), Became.UNKNOWN, id="from nowhere we know"),
    ],
)
def test_a_claim_at_a_machine(device: Device | None, address: str, counts: tuple[int, int], became: Became):
    assert judge_claim(device, address, *counts, POLICY) is became


@pytest.mark.parametrize(
    ("claim", "device", "after", "became"),
    [
        pytest.param(CLAIM, NOBODYS, DAY, Became.CONFIRMED, id="in time"),
        pytest.param(CLAIM, NOBODYS, VALID_FOR, Became.ENDED, id="a week later"),
        pytest.param(replace(CLAIM, confirmed_at=START), ASAS, DAY, Became.CONFIRMED, id="twice is once"),
        pytest.param(
            replace(CLAIM, confirmed_at=START),
            NOBODYS,
            DAY,
            Became.ENDED,
            id="confirmed, disowned since: no way back",
        ),
        pytest.param(
            CLAIM, replace(ASAS, owner="ben@corp.example"), DAY, Became.OWNED, id="somebody else was faster"
        ),
        pytest.param(
            CLAIM,
            replace(ASAS, owner_source=OwnerSource.DIRECTORY),
            DAY,
            Became.OWNED,
            id="the directory knows better",
        ),
        pytest.param(None, NOBODYS, DAY, Became.ENDED, id="a claim never made"),
        pytest.param(CLAIM, None, DAY, Became.ENDED, id="the machine is gone"),
    ],
)
def test_a_confirmation(claim: Claim | None, device: Device | None, after: timedelta, became: Became):
    assert judge_confirmation(claim, device, START + after) is became
