"""Calls between the processes of one installation: a campaign's machines should look now; a lost call is only late."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Connection, func, select

from forestall.domain.device import DeviceId
from forestall.domain.order import CampaignId
from forestall.store.bulk import driver
from forestall.store.database import Database

_CHANNEL = "forestall_wake"


class Calls(Protocol):
    """Waits for calls."""

    def __call__(self, seconds: float) -> set[CampaignId]:
        """Wait up to so long; say which campaigns were called."""


def call(con: Connection, campaigns: Iterable[CampaignId]) -> None:
    """Call the machines of campaigns, once this transaction is committed."""
    for campaign in sorted(campaigns):
        con.execute(select(func.pg_notify(_CHANNEL, campaign)))


@contextmanager
def listening(database: Database) -> Iterator[Calls]:
    """Listen for calls, on a connection of its own.

    Raises:
        StoreError: the database cannot be reached, here or while waiting.
    """
    with database.apart() as connection:
        connection.execute(f"LISTEN {_CHANNEL}")

        def wait(seconds: float) -> set[CampaignId]:
            heard = connection.notifies(timeout=seconds, stop_after=1)
            first = [CampaignId(each.payload) for each in heard]
            more = connection.notifies(timeout=0) if first else ()
            return {*first, *(CampaignId(each.payload) for each in more)}

        yield wait


def called(
    con: Connection, campaigns: Iterable[CampaignId], listening_now: Iterable[DeviceId]
) -> list[DeviceId]:
    """Say which of the machines that listen are in one of these campaigns."""
    rows = driver(con).execute(
        "SELECT DISTINCT device FROM record WHERE campaign = ANY(%s) AND device = ANY(%s)",
        (list(campaigns), list(listening_now)),
    )
    return [DeviceId(row[0]) for row in rows]
