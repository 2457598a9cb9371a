"""What signed papers allow (A10): an order counts within its approval; only two people together hasten it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.authority import (
    Approval,
    Hint,
    Imminence,
    Objection,
    SignedOrder,
    agreed_time,
    bound,
    forced_at,
    objections,
    rises,
)
from forestall.domain.brakes import Wave, pace_of, wait_of
from forestall.domain.device import DeviceId
from forestall.domain.order import CampaignId, Restart
from forestall.domain.policy import DAY, HOUR, MINUTE, Policy
from forestall.domain.remediation import RemediationId

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
UPDATE = RemediationId("bookworm/openssl/3.0.22-1~deb12u2")
AT_ONCE = (Wave(1.0, timedelta()),)
SLOW = (Wave(0.01, timedelta()), Wave(0.1, HOUR), Wave(1.0, 4 * HOUR))
ORDER = SignedOrder(
    CampaignId("openssl-1"), 1, "upgrade", "debian", "bookworm", "openssl", "3.0.22-1~deb12u2", NOW - DAY, NOW + DAY,
    NOW + 20 * HOUR, AT_ONCE, Restart.PERSON, "critical", {"en": "Update."},
)  # fmt: skip
APPROVAL = Approval("debian", UPDATE, NOW - 2 * DAY, NOW, AT_ONCE)
DEVICE = DeviceId("m-1")

OBJECTED = [
    pytest.param({}, None, {Objection.NOT_APPROVED}, id="nobody approved the update"),
    pytest.param({}, {"product": "other"}, {Objection.NOT_APPROVED}, id="another product was approved"),
    pytest.param({"version": "3.0.21-1"}, {}, {Objection.NOT_APPROVED}, id="another version was approved"),
    pytest.param({"source": "curl"}, {}, {Objection.NOT_APPROVED}, id="another package was approved"),
    pytest.param({"release": "trixie"}, {}, {Objection.NOT_APPROVED}, id="another release was approved"),
    pytest.param({}, {"pace": ()}, {Objection.NOT_APPROVED}, id="the approval has no waves"),
    pytest.param({"verb": "run"}, {}, {Objection.UNKNOWN_VERB}, id="a verb that nobody knows"),
    pytest.param({"expires_at": NOW}, {}, {Objection.EXPIRED}, id="its end is now"),
    pytest.param(
        {"expires_at": NOW + 25 * HOUR}, {}, {Objection.LIVES_TOO_LONG}, id="it would live for 25 hours"
    ),
    pytest.param({"deadline_at": NOW - 2 * DAY}, {}, {Objection.BACKWARDS}, id="a deadline before its offer"),
    pytest.param({"rings": ()}, {}, {Objection.NO_WAVES}, id="no waves"),
    pytest.param({"rings": SLOW[:2]}, {}, {Objection.NO_WAVES}, id="waves that never reach everybody"),
    pytest.param({"rings": (SLOW[1], SLOW[0], SLOW[2])}, {}, {Objection.NO_WAVES}, id="waves that shrink"),
    pytest.param(
        {"deadline_at": NOW.replace(tzinfo=None)},
        {},
        {Objection.NO_ZONE},
        id="an instant without a time zone",
    ),
    pytest.param(
        {"verb": "run", "expires_at": NOW}, {}, {Objection.UNKNOWN_VERB, Objection.EXPIRED}, id="two at once"
    ),
    pytest.param({"verb": "recall"}, None, set(), id="a recall needs no approval"),
    pytest.param({}, {}, set(), id="nothing speaks against it"),
]


@pytest.mark.parametrize(("changed", "approved", "why"), OBJECTED)
def test_what_speaks_against_an_order(
    changed: Mapping[str, object], approved: Mapping[str, object] | None, why: set[Objection]
) -> None:
    approval = None if approved is None else replace(APPROVAL, **approved)
    assert set(objections(replace(ORDER, **changed), approval, NOW)) == why


FORCED = [
    pytest.param({}, {}, None, NOW + DAY, id="at its deadline"),
    pytest.param({"deadline_at": NOW - DAY}, {}, None, NOW, id="never before the approval allows force"),
    pytest.param(
        {"deadline_at": NOW - DAY},
        {"pace": SLOW},
        None,
        NOW + 4 * HOUR,
        id="never faster than the approval's waves",
    ),
    pytest.param({"rings": SLOW}, {}, None, NOW + DAY + 4 * HOUR, id="as slow as its own waves"),
    pytest.param(
        {}, {}, Imminence("debian", UPDATE, NOW, AT_ONCE), NOW, id="at once under an imminent threat, P8.1"
    ),
    pytest.param(
        {},
        {},
        Imminence("debian", UPDATE, NOW, SLOW),
        NOW + 4 * HOUR,
        id="in the waves of the imminent threat",
    ),
    pytest.param(
        {},
        {},
        Imminence("debian", UPDATE, NOW + 9 * DAY, AT_ONCE),
        NOW + DAY,
        id="an imminent threat never delays",
    ),
    pytest.param(
        {},
        {},
        Imminence("debian", RemediationId("bookworm/curl/1"), NOW, AT_ONCE),
        NOW + DAY,
        id="the threat is about another update",
    ),
    pytest.param(
        {},
        {},
        Imminence("debian", UPDATE, NOW, ()),
        NOW + DAY,
        id="a threat without waves is none",
    ),
]


@pytest.mark.parametrize(("changed", "approved", "imminence", "at"), FORCED)
def test_from_when_the_last_machine_may_be_forced(
    changed: Mapping[str, object], approved: Mapping[str, object], imminence: Imminence | None, at: datetime
) -> None:
    """P5.4, A8."""
    found = forced_at(replace(ORDER, **changed), replace(APPROVAL, **approved), imminence, 0.999)
    assert found == at


instants = st.integers(-400 * 24, 400 * 24).map(lambda hours: NOW + timedelta(hours=hours))
paces = st.sampled_from([AT_ONCE, SLOW])
orders = st.builds(lambda at, rings: replace(ORDER, deadline_at=at, rings=rings), instants, paces)
approvals = st.builds(lambda at, pace: replace(APPROVAL, force_from=at, pace=pace), instants, paces)
threats = st.none() | st.builds(Imminence, st.just("debian"), st.just(UPDATE), instants, paces)
hints = st.builds(Hint, instants, instants)


@given(orders, approvals, threats, hints)
def test_a_hint_only_ever_delays(
    order: SignedOrder, approval: Approval, threat: Imminence | None, hint: Hint
) -> None:
    """A10: the server's word carries no authority."""
    without = bound(order, approval, threat, None, DEVICE)
    hinted = bound(order, approval, threat, hint, DEVICE)
    assert hinted.force_at >= without.force_at
    assert hinted.offered_at >= without.offered_at
    assert hinted.force_at >= hinted.offered_at


@given(orders, approvals, hints, st.sampled_from(["m-1", "m-2", "m-77"]))
def test_without_a_threat_nobody_is_forced_before_the_approval_allows_it(
    order: SignedOrder, approval: Approval, hint: Hint, name: str
) -> None:
    """R2, R5."""
    found = bound(order, approval, None, hint, DeviceId(name))
    assert found.force_at >= approval.force_from
    assert found.force_at >= order.deadline_at


@given(orders, approvals, threats, st.floats(0, 1, exclude_max=True))
def test_a_threat_only_ever_moves_the_deadline_forward(
    order: SignedOrder, approval: Approval, threat: Imminence | None, position: float
) -> None:
    """P8.1."""
    assert forced_at(order, approval, threat, position) <= forced_at(order, approval, None, position)


TIMES = [
    pytest.param(timedelta(), timedelta(), id="both agree"),
    pytest.param(-400 * DAY, -400 * DAY, id="the machine's clock is far ahead: the server's counts"),
    pytest.param(4 * MINUTE, 4 * MINUTE, id="a little behind: the server's counts"),
    pytest.param(400 * DAY, 5 * MINUTE, id="the server is far ahead: nobody's deadline comes nearer by that"),
]


@pytest.mark.parametrize(("ahead", "believed"), TIMES)
def test_what_time_it_is_for_deadlines(ahead: timedelta, believed: timedelta) -> None:
    """R19."""
    assert agreed_time(NOW, NOW + ahead) == NOW + believed


@given(st.integers(0, 400_000), st.booleans())
def test_the_waves_of_any_fleet_rise_to_everybody(fleet: int, imminent: bool) -> None:
    pace = pace_of(Policy(), fleet, imminent=imminent)
    assert rises(pace)
    assert wait_of(pace, 0.0) == timedelta()
    if fleet >= 20_000:
        assert [wave.share for wave in pace] == [0.001, 0.01, 0.1, 1.0]
