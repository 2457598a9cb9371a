"""Calls between processes: heard once committed, by everybody who listens."""

from pathlib import Path

from domain.made import ENFORCING, START
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Status
from forestall.domain.order import CampaignId
from forestall.store import campaigns, devices, records, wakes
from forestall.store.database import Database
from forestall.store.embedded import Embedded

LONG, NOT_AT_ALL = 60.0, 0.0


def test_a_call_is_heard_by_all_who_listen_once_it_is_committed(database: Database):
    with wakes.listening(database) as one, wakes.listening(database) as other:
        with database.begin() as con:
            wakes.call(con, [CampaignId("b-1"), CampaignId("a-1")])
            assert one(NOT_AT_ALL) == set()
        assert one(LONG) == other(LONG) == {"a-1", "b-1"}
        assert one(NOT_AT_ALL) == set()


def test_calls_are_heard_where_the_way_to_the_database_has_a_space(tmp_path: Path):
    home = Embedded(tmp_path / "a home")
    with home, Database(home.url) as database, wakes.listening(database) as calls:
        with database.begin() as con:
            wakes.call(con, [CampaignId("a-1")])
        assert calls(LONG) == {"a-1"}


def test_what_was_rolled_back_was_never_called(database: Database):
    with wakes.listening(database) as calls:
        with database.begin() as con:
            wakes.call(con, [CampaignId("a-1")])
            con.rollback()
        with database.begin() as con:
            wakes.call(con, [CampaignId("b-1")])
        assert calls(LONG) == {"b-1"}


def test_machines_of_the_called_campaigns_that_listen_are_concerned(database: Database):
    names = [DeviceId(name) for name in "abc"]
    with database.begin() as con:
        devices.save(con, [Device(name, name, SiteId("s"), managed=True) for name in names])
        campaigns.save(con, ENFORCING)
        records.enlist(con, ENFORCING.id, dict.fromkeys(names[:2], Status.AFFECTED), START)
        assert wakes.called(con, [ENFORCING.id], names[1:]) == ["b"]
        assert wakes.called(con, [CampaignId("other")], names) == []
