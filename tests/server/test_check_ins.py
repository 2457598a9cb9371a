"""Many machines heard at once: exactly what one by one would have given, whatever they say."""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from certificates import certificate
from domain.made import DAY, MINUTE
from forestall import protocol
from forestall.domain.device import DeviceId
from forestall.domain.events import EventKind
from forestall.domain.identity import Certificate, Recognition, Void
from forestall.server.check_ins import Caller, Reply, hear
from forestall.store import devices, identities, inventories, ledger, tables
from forestall.store.database import Connection
from server.company import FIXED, OLD, Company

STATUSES = ("fixed", "pending_restart", "affected", "not_affected", "unknown")


class Fleet(NamedTuple):
    """Five machines, one of them patched, and the campaign that four are in."""

    company: Company
    certificates: dict[DeviceId, Certificate]
    campaign: str
    known: dict[DeviceId, str]


def fleet_of(company: Company) -> Fleet:
    machines = [company.machine(FIXED if n == 4 else OLD, f"host-{n}") for n in range(5)]
    name = company.campaign()
    company.turn()
    company.now += MINUTE
    certificates = {device: certificate(device, company.now) for device in machines}
    with company.database.begin() as con:
        identities.renewed(con, {device: each.serial for device, each in certificates.items()})
        known = inventories.reported_hashes(con, machines)
    return Fleet(company, certificates, name, known)


def everything(con: Connection) -> dict[str, object]:
    """All that check-ins may change; the ledger by the hash that covers it."""
    said = [column for column in tables.evidence.columns if column.name != "id"]
    return {
        "device": con.execute(select(tables.device).order_by(tables.device.c.id)).all(),
        "record": con.execute(select(tables.record).order_by(tables.record.c.device)).all(),
        "words": sorted(map(tuple, con.execute(select(*said)))),
        "identities": con.execute(
            select(tables.device_identity).order_by(tables.device_identity.c.device)
        ).all(),
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
            sequence=st.integers(1, 2**53),
            inventory_sha256=st.sampled_from([fleet.known[device], "0" * 64]),
            states=states(fleet.campaign),
        )

    def caller(device: DeviceId) -> st.SearchStrategy[Caller]:
        good, old = fleet.certificates[device], fleet.company.now - 2 * DAY
        newer = good._replace(serial=good.serial + 1)
        others = [newer, good._replace(ends_at=old), certificate(f"not-{device}", old)]
        return st.builds(Caller, st.sampled_from([good] * 6 + others), message(device))

    machines = st.lists(st.sampled_from(sorted(fleet.certificates)), unique=True)
    return machines.flatmap(lambda chosen: st.tuples(*map(caller, chosen)).map(list))


def test_a_batch_gives_exactly_what_singles_give(company: Company):
    """The oracle is the same code with one machine at a time; the ledger has the same hash.

    Clones are left out: their entries come last in a batch.
    """
    fleet = fleet_of(company)

    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    @given(callers(fleet))
    def compare(batch: list[Caller]) -> None:
        together, known = heard(fleet, [batch])
        in_order = sorted(batch, key=lambda each: each.certificate.device)
        one_by_one, expected = heard(fleet, [[caller] for caller in in_order])
        by_machine = dict(zip((each.certificate.device for each in in_order), one_by_one, strict=True))
        assert together == [by_machine[caller.certificate.device] for caller in batch]
        assert known == expected

    compare()


def test_strangers_and_repeaters_cost_the_others_nothing(company: Company):
    fleet = fleet_of(company)
    first, second, *_ = fleet.certificates.values()  # the patched one is the last
    say = protocol.CheckIn("1", "b", 1, "0" * 64, [])
    nobody = certificate("nobody", company.now)
    batch = [Caller(each, say) for each in (nobody, first, first, second)]
    replies, _ = heard(fleet, [batch])
    named = [
        reply.hints[0].campaign if isinstance(reply, protocol.CheckInAnswer) else reply for reply in replies
    ]
    assert named == [Recognition.STRANGER, fleet.campaign, None, fleet.campaign]


def test_two_machines_with_one_certificate_are_found_out_at_the_next_word(company: Company):
    """R22: both are refused from then on, listed, and written into the ledger once; nothing else happens to them."""
    device = company.machine()
    mine = certificate(device, company.now + MINUTE)

    def speak(boot: str, number: int) -> object:
        word = Caller(mine, protocol.CheckIn("1", boot, number, "0" * 64, []))
        (reply,) = company.desk.hear([word], company.now)
        return reply if reply is None or isinstance(reply, Recognition) else "heard"

    assert [speak("a", 1), speak("a", 2), speak("a", 1)] == ["heard"] * 3, "a late word is the machine's own"
    assert speak("b", 2) is Recognition.CLONED
    assert [speak("a", 3), speak("b", 3)] == [Recognition.CLONED] * 2
    with company.database.begin() as con:
        assert identities.voided(con) == {device: Void.CLONED}
        told = [e.event for e in ledger.read_all(con, 0) if e.event.kind is EventKind.DEVICE_VOIDED]
        assert [(event.subject, event.body) for event in told] == [(device, {"void": "cloned", "reason": ""})]
        assert devices.get(con, device).managed


def test_a_late_word_does_not_turn_the_count_back(company: Company):
    """R21: else a second machine could count up from there unseen."""
    device = company.machine()
    mine = certificate(device, company.now + MINUTE)
    for number in (5, 3):
        company.desk.hear([Caller(mine, protocol.CheckIn("1", "a", number, "0" * 64, []))], company.now)
    (reply,) = company.desk.hear([Caller(mine, protocol.CheckIn("1", "b", 4, "0" * 64, []))], company.now)
    assert reply is Recognition.CLONED
