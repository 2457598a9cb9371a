"""LOOK really looks: evidence with its proof, an alarm where most answer as vulnerable, nothing out of scope (P6.2)."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from domain.made import DAY, DEADLINE, ENFORCING, MINUTE, POLICY, START, VOLUNTARY
from forestall.domain.action import Action
from forestall.domain.advisory import Advisory, AdvisoryId, Catalogue, Product, ProductStatus, VulnerabilityId
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.errors import InputError
from forestall.domain.evidence import Status
from forestall.domain.intent import Intent
from forestall.domain.record import Outcome, Receipt, Record
from forestall.domain.remediation import RemediationId
from forestall.domain.scope import Area, Scope
from forestall.probes import talk
from forestall.probes.answer import Answer
from forestall.probes.probe import Finding
from forestall.server.effects import apply_open
from forestall.server.looking import accept_alarm, alarms, make_look, weigh
from forestall.server.outside import SIMULATED, effects_of, looks_of
from forestall.server.passes import run_pass
from forestall.server.settings import Settings, load_settings
from forestall.server.wiring import Installation
from forestall.store import advisories, campaigns, devices, lease, ledger, records
from forestall.store.database import Database
from forestall.store.embedded import Embedded

NOW = DEADLINE + DAY
SQUID = replace(ENFORCING, remediation=RemediationId("bookworm/squid/5.7-2+deb12u6"))
NET = f"127.{1 + os.getpid() // 250 % 250}.{os.getpid() % 250}"
"""Loopback addresses of this process: others may be testing on this machine, too."""
SCOPE = Scope((Area(SiteId("here"), (ip_network(f"{NET}.0/24"),), per_second=100_000),))
CVE = VulnerabilityId("CVE-2026-33526")
PUBLISHED = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Embedded(tmp_path / "database") as embedded, Database(embedded.url) as database:
        database.migrate()
        product = Product("bookworm", "squid", ProductStatus.FIXED, "5.7-2+deb12u6")
        advisory = Advisory(AdvisoryId("DSA-1-1"), "squid", PUBLISHED, (CVE,), (product,), "test")
        with database.begin() as con:
            advisories.save(con, "test", Catalogue((advisory,), {}))
            campaigns.save(con, SQUID)
        yield database


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Wait for answers however busy this machine is; where nobody listens the kernel says so at once."""
    monkeypatch.setattr(talk, "QUESTION_SECONDS", 60.0)
    monkeypatch.setattr(talk, "CONVERSATION_SECONDS", 60.0)


def enlist(database: Database, addresses: dict[str, tuple[str, ...]]) -> list[DeviceId]:
    found = [
        Device(DeviceId(n), n, SiteId("here"), managed=False, owner="a@b", addresses=a)
        for n, a in addresses.items()
    ]
    with database.begin() as con:
        devices.save(con, found)
        records.enlist(con, SQUID.id, {device.id: Status.UNKNOWN for device in found}, START)
    return [device.id for device in found]


def look(
    database: Database, wanted: list[DeviceId], now: datetime = NOW, scope: Scope = SCOPE
) -> list[Receipt]:
    intents = [Intent(SQUID.id, 1, name, Action.LOOK, 0, SiteId("here"), "sweep", "P6.2") for name in wanted]
    return [*make_look(database, scope, POLICY)(intents, now)]


def record(database: Database, name: DeviceId) -> Record:
    with database.begin() as con:
        (found,) = records.some(con, SQUID.id, [name])
    return found


@contextmanager
def squids(*, patched: bool, addresses: list[str]) -> Iterator[None]:
    """Answer ICP as Squid does, patched or not."""
    sockets = []
    for address in addresses:
        sockets.append(socket.socket(type=socket.SOCK_DGRAM))
        sockets[-1].bind((address, 3130))
    url = b"probe%20test\x00" if patched else b"\xd8\xbbY\xc8DV\x00"

    def serve(one: socket.socket) -> None:
        while True:
            asked, who = one.recvfrom(100)
            if not asked:
                return
            one.sendto(struct.pack(">BBH", 4, 2, 20 + len(url)) + asked[4:20] + url, who)

    threads = [threading.Thread(target=serve, args=(one,)) for one in sockets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        with socket.socket(type=socket.SOCK_DGRAM) as end:
            for address in addresses:
                end.sendto(b"", (address, 3130))
        for thread, one in zip(threads, sockets, strict=True):
            thread.join()
            one.close()


def test_what_was_seen_is_evidence_with_its_proof(database: Database):
    """P6.2: an unpatched one, a patched one, and one where nothing listens."""
    enlist(database, {"old": (f"{NET}.1", "02:00:00:00:00:01"), "new": (f"{NET}.2",), "none": (f"{NET}.3",)})
    wanted = [DeviceId(name) for name in ("new", "old", "none")]
    with squids(patched=False, addresses=[f"{NET}.1"]), squids(patched=True, addresses=[f"{NET}.2"]):
        receipts = look(database, wanted)
    assert [receipt.outcome for receipt in receipts] == [Outcome.DONE] * 3
    assert (
        f"squid-icp at {NET}.2: the answer names the address that was asked for (probe%20test)"
        in receipts[0].detail
    )
    old, new, none = (record(database, DeviceId(name)) for name in ("old", "new", "none"))
    assert (old.probe_status, old.probe_at, old.seen_at) == (Status.AFFECTED, NOW, NOW)
    assert (new.probe_status, new.fixed_at) == (Status.FIXED, NOW)
    assert (none.probe_status, none.unread_at, none.seen_at) == (None, NOW, NOW), (
        "reached, and it could not be told (A2)"
    )
    with database.begin() as con:
        told = [entry.event for entry in ledger.about(con, subject="old")]
    assert "6 bytes that nobody sent" in str(told[-1].body)


def test_a_machine_of_two_addresses_is_as_bad_as_the_worse(database: Database):
    """A13: all its addresses are probed."""
    (name,) = enlist(database, {"both": (f"{NET}.11", f"{NET}.12")})
    with squids(patched=True, addresses=[f"{NET}.11"]), squids(patched=False, addresses=[f"{NET}.12"]):
        look(database, [name])
    assert record(database, name).probe_status is Status.AFFECTED


@pytest.mark.parametrize(
    ("addresses", "why"),
    [
        pytest.param(("127.255.0.1",), "no address of it is in a scope: nothing was sent", id="out of scope"),
        pytest.param(("02:00:00:00:00:01",), "no address of it is in a scope", id="only a hardware address"),
        pytest.param((), "no address of it is in a scope", id="no address"),
    ],
)
def test_nobody_is_probed_out_of_scope(database: Database, addresses: tuple[str, ...], why: str):
    (name,) = enlist(database, {"far": addresses})
    (receipt,) = look(database, [name])
    assert receipt.outcome is Outcome.REFUSED
    assert why in receipt.detail
    assert record(database, name).unread_at is None


def test_an_update_that_no_probe_tells_is_refused_in_words(database: Database):
    (name,) = enlist(database, {"any": (f"{NET}.1",)})
    with database.begin() as con:
        campaigns.save(con, replace(SQUID, remediation=RemediationId("bookworm/vim/2:9.0.1378-2+deb12u2")))
    (receipt,) = look(database, [name])
    assert (receipt.outcome, receipt.detail) == (Outcome.REFUSED, "no probe tells this flaw")


MANY = {f"m{n:02}": (f"{NET}.{100 + n}",) for n in range(1, 61)}


def test_most_answer_as_vulnerable_after_the_deadline_a_person_looks_first(database: Database):
    """A8: 60 positive answers, 0 findings, one alarm; believed once a person has looked."""
    names = enlist(database, MANY)
    with squids(patched=False, addresses=[a for (a,) in MANY.values()]):
        receipts = look(database, names)
        assert {receipt.outcome for receipt in receipts} == {Outcome.REFUSED}
        assert "not believed before a person looked: 60 of 60" in receipts[0].detail
        assert {record(database, name).probe_status for name in names} == {None}
        look(database, names, NOW + MINUTE)
        with database.begin() as con:
            assert (
                len([e for e in ledger.about(con, subject=SQUID.id) if e.event.rule == "mass-positive"]) == 1
            )
            assert alarms(con, SQUID.id) == (
                "60 of 60 probed machines answer as vulnerable, above 50%",
                False,
            )
        accept_alarm(database, SQUID.id, "aiko", NOW + MINUTE)
        look(database, names, NOW + 2 * MINUTE)
    assert {record(database, name).probe_status for name in names} == {Status.AFFECTED}


def test_before_the_deadline_many_are_vulnerable_and_that_is_no_alarm(database: Database):
    names = enlist(database, MANY)
    with database.begin() as con:
        campaigns.save(con, replace(VOLUNTARY, remediation=SQUID.remediation))
    with squids(patched=False, addresses=[a for (a,) in MANY.values()]):
        look(database, names, START + DAY)
    assert {record(database, name).probe_status for name in names} == {Status.AFFECTED}


def test_a_few_vulnerable_among_many_fixed_are_no_alarm(database: Database):
    names = enlist(database, MANY)
    fixed = [a for (a,) in MANY.values()][:31]
    with (
        squids(patched=True, addresses=fixed),
        squids(patched=False, addresses=[a for (a,) in MANY.values() if a not in fixed]),
    ):
        look(database, names)
    assert sum(record(database, name).probe_status is Status.AFFECTED for name in names) == 29


def test_the_whole_way_from_the_rule_to_the_evidence(database: Database, tmp_path: Path):
    """P6.2: the rule `sweep` orders the look, the settings' scope allows it, the record holds what was seen."""
    (tmp_path / "forestall.toml").write_text(
        f'[[scope]]\nsite = "here"\nnetworks = ["{NET}.0/24"]\nper_second = 100000\n'
    )
    (name,) = enlist(database, {"old": (f"{NET}.31",)})
    with database.begin() as con:
        records.mark(con, SQUID.id, "announced_at", [name], START)
        held = lease.acquire(con, "decide", "me", NOW, MINUTE)
    assert held is not None
    installation = Installation(load_settings(tmp_path), POLICY, database)
    assert Action.LOOK not in effects_of(installation), "slow: it has turns of its own"
    effects = looks_of(installation)

    def turn(now: datetime) -> Status | None:
        run_pass(database, held, now, POLICY)
        apply_open(database, effects, "me", now, POLICY)
        return record(database, name).probe_status

    with squids(patched=False, addresses=[f"{NET}.31"]):
        assert turn(NOW) is Status.AFFECTED
    later = NOW + POLICY.probe_evidence_for + MINUTE
    with squids(patched=True, addresses=[f"{NET}.31"]):
        assert turn(later) is Status.FIXED
    assert turn(later + MINUTE) is Status.FIXED, "what is fresh is not looked at again"


def test_without_a_scope_no_probe_is_connected(database: Database, tmp_path: Path):
    installation = Installation(Settings(tmp_path), POLICY, database)
    assert (effects_of(installation), looks_of(installation)) == (SIMULATED, {})


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        pytest.param(
            '[[scope]]\nsite = "a"\nnetworks = ["10.0.0.1/8"]\n',
            "line 1: scope: 10.0.0.1/8 has host bits set",
            id="not a network",
        ),
        pytest.param(
            '[[scope]]\nsite = "a"\nnetworks = []\nfast = 1\n',
            "unknown field `fast`",
            id="a name that is none",
        ),
        pytest.param('[[scope]]\nsite = "a"\nnetworks = []\nper_second = 0\n', ">= 1", id="no pace"),
    ],
)
def test_a_scope_that_cannot_be_used(tmp_path: Path, lines: str, why: str):
    (tmp_path / "forestall.toml").write_text(lines)
    with pytest.raises(InputError, match=r"forestall\.toml, line") as caught:
        load_settings(tmp_path)
    assert why in str(caught.value)


def finding(probe: str, status: Status, *, reached: bool = True) -> Finding:
    return Finding("10.0.0.1", probe, Answer(status, f"{probe} {status}"), reached)


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        pytest.param([], None, id="nobody was asked"),
        pytest.param([finding("squid-icp", Status.UNKNOWN, reached=False)], None, id="nobody answered"),
        pytest.param(
            [finding("squid-icp", Status.UNKNOWN)], Status.UNKNOWN, id="an answer that tells nothing"
        ),
        pytest.param(
            [finding("ssh-banner", Status.AFFECTED), finding("ssh-strict", Status.FIXED)],
            Status.FIXED,
            id="behaviour outweighs a version",
        ),
        pytest.param(
            [finding("ssh-banner", Status.AFFECTED), finding("ssh-strict", Status.UNKNOWN)],
            Status.AFFECTED,
            id="a version where behaviour does not tell",
        ),
        pytest.param(
            [finding("ssh-strict", Status.FIXED), finding("squid-icp", Status.AFFECTED)],
            Status.AFFECTED,
            id="of two of a kind the worse",
        ),
    ],
)
def test_one_word_of_what_several_probes_said(findings: list[Finding], status: Status | None):
    assert weigh(findings).status is status
