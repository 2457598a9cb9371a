"""Sightings in the database: machines appear, keep their ids, are joined on record, and join what is under way."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from domain.made import ENFORCING, START
from forestall.domain.device import Device, DeviceId, OwnerSource, SiteId
from forestall.domain.events import EventKind
from forestall.domain.notice import Person
from forestall.domain.sighting import Sighting, Source
from forestall.server.claims import own
from forestall.server.finding import KEPT_FOR, estimate, machines, take_in
from forestall.store import campaigns, devices, ledger, records
from forestall.store.database import Database
from forestall.store.embedded import Embedded

SITE = SiteId("main")
MAC, OTHER, IP, MOVED = "02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1", "10.0.0.2"
HOUR = timedelta(hours=1)
LAPTOP = DeviceId("m-laptop")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Embedded(tmp_path / "database") as embedded, Database(embedded.url) as database:
        database.migrate()
        with database.begin() as con:
            devices.save(con, [Device(LAPTOP, "laptop", SITE, managed=True, owner="own@example.com")])
            campaigns.save(con, ENFORCING)
        yield database


def seen(mac="", ip="", *, ago=0, by=Source.NEIGHBOUR, **more) -> Sighting:
    return Sighting(by, SITE, START - ago * HOUR, mac, ip, **more)


def known(database: Database) -> dict[str, Device]:
    with database.begin() as con:
        return {device.id: device for device in devices.everything(con)}


def test_who_is_found_becomes_a_machine_of_all_campaigns_under_way(database: Database):
    accounts = {"ann": Person("ann@example.com", language="ja")}
    rows = [seen(MAC, IP, name="=cmd", user="ann"), seen(MAC, MOVED, ago=1)]
    taken = take_in(database, rows, "me", START, accounts)
    assert (taken.machines, len(taken.new), taken.joined) == (1, 1, [])
    device = known(database)[taken.new[0]]
    assert (device.name, device.owner, device.language) == ("=cmd", "ann@example.com", "ja")
    assert device.addresses == (IP, MOVED, MAC)
    assert (device.managed, device.seen_at) == (False, START)
    with database.begin() as con:
        (record,) = records.some(con, ENFORCING.id, taken.new)
    assert record.inventory_status is None, "nothing is known of it (A2)"


def test_the_same_again_changes_nothing_and_the_managed_one_keeps_what_it_is(database: Database):
    first = take_in(database, [seen(MAC, IP)], "me", START)
    again = take_in(database, [seen(MAC, IP)], "me", START)
    assert (first.machines, again.machines, again.new, again.joined) == (1, 1, [], [])
    take_in(database, [seen(MAC, IP, certificate=LAPTOP, by=Source.LOGIN)], "me", START + HOUR)
    device = known(database)[LAPTOP]
    assert (device.name, device.managed, device.owner) == ("laptop", True, "own@example.com")
    assert device.addresses == (IP, MAC)


def test_what_turns_out_to_be_one_machine_is_joined_and_nothing_is_done_to_the_other_any_more(
    database: Database,
):
    (knocked,) = take_in(database, [seen(ip=IP, by=Source.SWEEP)], "me", START).new
    taken = take_in(database, [seen(MAC, IP, certificate=LAPTOP, by=Source.LOGIN)], "me", START + HOUR)
    assert [(each.kept, each.absorbed) for each in taken.joined] == [(LAPTOP, knocked)]
    left = known(database)[knocked]
    assert (left.addresses, left.name) == ((), f"is {LAPTOP}")
    with database.begin() as con:
        (entry,) = [each for each in ledger.about(con, subject=LAPTOP) if each.event.kind is EventKind.JOINED]
    assert (entry.event.actor, entry.event.paragraph, entry.event.body["absorbed"]) == ("me", "A13", knocked)
    once = take_in(database, [seen(OTHER, MOVED)], "me", START + 2 * HOUR)
    assert once.joined == [], "it is logged once"


def test_a_machine_off_the_network_keeps_its_addresses_until_it_is_freed_whoever_it_is(database: Database):
    """P6.5: without an address it would never be seen fixed, and never be freed."""
    (gone,) = take_in(database, [seen(MAC, IP, ago=5)], "me", START).new

    def stand(off: bool) -> tuple[str, ...]:
        at = START if off else None
        with database.begin() as con:
            records.revise(con, ENFORCING.id, {gone: lambda record: record._replace(quarantined_at=at)})
        take_in(database, [seen(MAC, IP, certificate=LAPTOP)], "me", START)
        return known(database)[gone].addresses

    assert stand(off=True) == (IP, MAC)
    assert stand(off=True) == (IP, MAC)
    assert known(database)[gone].name == f"is {LAPTOP}"
    assert stand(off=False) == ()


class Meanwhile(dict[str, Person]):
    """Accounts; while they are looked up, between reading and saving, somebody else commits something."""

    def __init__(self, accounts: dict[str, Person], act: Callable[[], None]) -> None:
        super().__init__(accounts)
        self._act = act
        self.acted = False

    def get(self, key: str, default: Person | None = None) -> Person | None:
        if not self.acted:
            self.acted = True
            self._act()
        return super().get(key, default)


ANN, BEN = Person("ann@example.com"), Person("ben@example.com")


@pytest.mark.parametrize(
    ("absorbed", "accounts"),
    [
        pytest.param(False, {"x": BEN}, id="the directory says nothing of it"),
        pytest.param(False, {"ann": ANN}, id="the directory still names them"),
        pytest.param(True, {"x": BEN}, id="it turns out to be another"),
    ],
)
def test_what_a_person_disowns_during_a_merge_stays_disowned(
    database: Database, accounts: dict[str, Person], *, absorbed: bool
):
    """P6.1: a person's word is not undone by what was read before it."""
    (name,) = take_in(database, [seen(MAC, IP, user="ann")], "me", START, {"ann": ANN}).new
    device = known(database)[name]
    assert (device.owner, device.owner_source) == (ANN.address, OwnerSource.DIRECTORY)

    def disown() -> None:
        with database.begin() as con:
            own(con, replace(device, owner="", disowned=ANN.address), None, START)

    meanwhile = Meanwhile(accounts, disown)
    row = seen(MAC, IP, certificate=LAPTOP, by=Source.LOGIN) if absorbed else seen(MAC, MOVED, user="ann")
    taken = take_in(database, [row], "me", START + HOUR, meanwhile)
    assert (meanwhile.acted, [each.absorbed for each in taken.joined]) == (True, [name] if absorbed else [])
    for _ in range(2):
        left = known(database)[name]
        assert (left.owner, left.owner_source, left.disowned) == ("", None, ANN.address)
        take_in(database, [row], "me", START + HOUR, accounts)


def test_who_confirms_during_a_merge_stays_the_owner(database: Database):
    (name,) = take_in(database, [seen(MAC, IP, user="ann")], "me", START, {"ann": ANN}).new
    device = replace(known(database)[name], owner=BEN.address, language="ja", disowned=ANN.address)

    def confirm() -> None:
        with database.begin() as con:
            own(con, device, OwnerSource.SELF, START)

    take_in(database, [seen(MAC, MOVED, user="ann")], "me", START + HOUR, Meanwhile({"ann": ANN}, confirm))
    left = known(database)[name]
    assert (left.owner, left.owner_source, left.language) == (BEN.address, OwnerSource.SELF, "ja")


def test_a_machine_that_waits_as_another_is_nobodys_again_when_disowned_during_a_merge(database: Database):
    (name,) = take_in(database, [seen(MAC, IP, user="ann")], "me", START, {"ann": ANN}).new
    take_in(database, [seen(MAC, IP, certificate=LAPTOP, by=Source.LOGIN)], "me", START + HOUR)
    device = known(database)[name]
    assert (device.name, device.owner) == (f"is {LAPTOP}", ANN.address)

    def disown() -> None:
        with database.begin() as con:
            own(con, replace(device, owner="", disowned=ANN.address), None, START)

    take_in(database, [seen(OTHER, MOVED)], "me", START + HOUR, Meanwhile({"x": BEN}, disown))
    assert (known(database)[name].owner, known(database)[name].disowned) == ("", ANN.address)


def test_an_address_that_moved_belongs_to_its_new_holder(database: Database):
    (first,) = take_in(database, [seen(MAC, IP)], "me", START).new
    (second,) = take_in(
        database, [Sighting(Source.NEIGHBOUR, SITE, START + HOUR, OTHER, IP)], "me", START + HOUR
    ).new
    found = known(database)
    assert (found[first].addresses, found[second].addresses) == ((MAC,), (IP, OTHER))


def test_protected_stays_protected_and_old_sightings_are_let_go_of(database: Database):
    (name,) = take_in(database, [seen(MAC, IP)], "me", START).new
    with database.begin() as con:
        device = devices.get(con, name)
        devices.save(con, [Device(name, device.name, SITE, managed=False, protected=True)])
    take_in(database, [seen(MAC, MOVED)], "me", START)
    assert known(database)[name].protected
    assert take_in(database, [], "me", START + KEPT_FOR + HOUR).machines == 0
    assert machines(database) == []


def test_the_estimate_counts_machines_not_rows(database: Database):
    rows = [seen(f"02:00:00:00:01:{n:02x}", f"10.0.1.{n}", by=Source.LEASE) for n in range(60)]
    rows += [seen(f"02:00:00:00:01:{n:02x}", f"10.0.2.{n}", by=Source.LOGIN) for n in range(40, 80)]
    rows += [seen(f"02:00:00:00:01:{n:02x}", by=Source.LOGIN) for n in range(40, 80)]
    take_in(database, rows, "me", START)
    (found,) = estimate(database)
    assert (found.by_first, found.by_second, found.by_both, found.seen) == (60, 40, 20, 80)
    assert found.machines == pytest.approx(61 * 41 / 21 - 1)
