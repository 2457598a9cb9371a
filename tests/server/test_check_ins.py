"""Many machines heard at once: exactly what one by one would have given, whatever they say."""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from domain.made import MINUTE
from forestall import protocol
from forestall.domain.device import DeviceId
from forestall.domain.order import Hold
from forestall.server.check_ins import Caller, Reply, Unheard, hear
from forestall.store import enrolment, inventories, ledger, tables
from forestall.store.database import Connection
from server.company import FIXED, OLD, Company

STATUSES = ("fixed", "pending_restart", "affected", "not_affected", "unknown")


class Fleet(NamedTuple):
    """Five machines, one of them patched, and the campaign that four are in."""

    company: Company
    secrets: dict[DeviceId, str]
    campaign: str
    known: dict[DeviceId, str]


def fleet_of(company: Company) -> Fleet:
    machines = [company.machine(FIXED if n == 4 else OLD, f"host-{n}") for n in range(5)]
    name = company.campaign()
    company.turn()
    company.now += MINUTE
    with company.database.begin() as con:
        secrets = {device: enrolment.renew_secret(con, device, company.now) for device in machines}
        known = inventories.reported_hashes(con, machines)
    return Fleet(company, secrets, name, known)


def everything(con: Connection) -> dict[str, object]:
    """All that check-ins may change; the ledger by the hash that covers it."""
    said = [column for column in tables.evidence.columns if column.name != "id"]
    return {
        "device": con.execute(select(tables.device).order_by(tables.device.c.id)).all(),
        "record": con.execute(select(tables.record).order_by(tables.record.c.device)).all(),
        "words": sorted(map(tuple, con.execute(select(*said)))),
        "ledger": ledger.head(con),
    }


def heard(fleet: Fleet, batches: Sequence[Sequence[Caller]]) -> tuple[list[Reply], dict[str, object]]:
    """Hear batches one after the other, look, and take it all back."""
    company = fleet.company
    with company.database.begin() as con:
        replies = [reply for batch in batches for reply in hear(con, batch, company.now, company.policy, 7)]
        known = everything(con)
        con.rollback()
    return replies, known


def states(campaign: str) -> st.SearchStrategy[list[protocol.OrderState]]:
    state = st.builds(
        protocol.OrderState,
        campaign=st.sampled_from([campaign, "made-up"]),
        revision=st.just(1),
        status=st.sampled_from(STATUSES),
        forced=st.booleans(),
        forcing=st.booleans(),
        failures=st.integers(0, 2),
        detail=st.sampled_from(["", "dpkg failed"]),
    )
    return st.lists(state, max_size=3)


def callers(fleet: Fleet) -> st.SearchStrategy[list[Caller]]:
    def message(device: DeviceId) -> st.SearchStrategy[protocol.CheckIn]:
        return st.builds(
            protocol.CheckIn,
            agent_version=st.sampled_from(["1", "2"]),
            boot_id=st.sampled_from(["a", "b"]),
            sequence=st.integers(0, 2**53),
            inventory_sha256=st.sampled_from([fleet.known[device], "0" * 64]),
            states=states(fleet.campaign),
        )

    def caller(device: DeviceId) -> st.SearchStrategy[Caller]:
        secret = st.sampled_from([fleet.secrets[device]] * 4 + ["guessed"])
        return st.builds(Caller, st.just(device), secret, message(device))

    machines = st.lists(st.sampled_from(sorted(fleet.secrets)), unique=True)
    return machines.flatmap(lambda chosen: st.tuples(*map(caller, chosen)).map(list))


def test_a_batch_gives_exactly_what_singles_give(company: Company):
    """The oracle is the same code with one machine at a time; the ledger has the same hash."""
    fleet = fleet_of(company)

    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    @given(callers(fleet))
    def compare(batch: list[Caller]) -> None:
        together, known = heard(fleet, [batch])
        in_order = sorted(batch)
        one_by_one, expected = heard(fleet, [[caller] for caller in in_order])
        by_machine = dict(zip((each.device for each in in_order), one_by_one, strict=True))
        assert together == [by_machine[caller.device] for caller in batch]
        assert known == expected

    compare()


def test_strangers_and_repeaters_cost_the_others_nothing(company: Company):
    fleet = fleet_of(company)
    first, second, *_ = fleet.secrets  # the patched one is the last
    say = protocol.CheckIn("1", "b", 1, "0" * 64, [])
    batch = [
        Caller(first, "guessed", say),
        Caller(first, fleet.secrets[first], say),
        Caller(first, fleet.secrets[first], say),
        Caller(DeviceId("nobody"), "x", say),
        Caller(second, fleet.secrets[second], say),
    ]
    replies, _ = heard(fleet, [batch])
    named = [reply.hints[0].campaign if not isinstance(reply, Unheard) else reply for reply in replies]
    assert named == [
        Unheard.STRANGER, fleet.campaign, Unheard.REPEATED, Unheard.STRANGER, fleet.campaign,
    ]  # fmt: skip


def test_what_a_person_picked_and_what_holds_is_told_beside_the_machines_word(company: Company):
    """P5.2: whoever asks why this machine is open reads it there."""
    fleet = fleet_of(company)
    device, secret = next(iter(fleet.secrets.items()))
    state = protocol.OrderState(
        fleet.campaign,
        1,
        "affected",
        detail="openssl 1.0",
        picked_at=company.now,
        held_by=[Hold.PRESENTATION],
    )
    message = protocol.CheckIn("1", "boot", 10_000, "0" * 64, [state])
    _, known = heard(fleet, [[Caller(device, secret, message)]])
    said = f"openssl 1.0; its person picked {company.now:%Y-%m-%d %H:%M %Z}; in use: presentation"
    assert any(said in str(word) for word in known["words"])
