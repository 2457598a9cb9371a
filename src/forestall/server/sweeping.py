"""Sweeps of the whole scope, several times a day: whoever answers is a sighting (P6.2)."""

import secrets
import socket
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from forestall.domain.address import Address
from forestall.domain.errors import InputError, StoreError
from forestall.domain.notice import Person
from forestall.domain.policy import Policy
from forestall.domain.scope import Scope
from forestall.domain.sighting import Sighting, Source
from forestall.probes.sweep import HERE, Presence, sweep
from forestall.server.finding import take_in
from forestall.store import lease
from forestall.store.database import Database

LEASE = "sweep"
PORTS = (22, 445)
"""What most machines answer on, if only by refusing; the second is tried where the first got no answer."""
LOOK_EVERY_SECONDS = 60.0
AGAIN_AFTER = timedelta(minutes=15)
"""After a sweep that failed."""
_log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))


@dataclass(frozen=True, slots=True)
class Sweeping:
    """What came of a sweep."""

    counts: dict[Presence, int]
    seconds: float
    machines: int
    new: int


def sweep_scope(
    database: Database,
    scope: Scope,
    ports: Sequence[int],
    actor: str,
    now: datetime,
    accounts: Mapping[str, Person] | None = None,
) -> Sweeping:
    """Knock everywhere, on the next port where the one before got no answer, and take in who answered."""
    areas = dict(scope.addresses())
    found = dict[Address, Presence]()
    seconds = 0.0
    for port in ports:
        swept = sweep((address for address in areas if found.get(address) not in HERE), port, scope)
        found |= swept.found
        seconds += swept.seconds
    seen = [
        Sighting(Source.SWEEP, areas[address].site, now, address=str(address))
        for address, presence in found.items()
        if presence in HERE
    ]
    taken = take_in(database, seen, actor, now, accounts)
    return Sweeping(dict(Counter(found.values())), seconds, taken.machines, len(taken.new))


class Sweeper:
    """Sweeps when it is due by whichever process asks first.

    The lease that is taken for a sweep is not given back: its end is when the next one is due, for all processes
    and after a restart, too. Only one that failed is soon due again.
    """

    def __init__(
        self,
        database: Database,
        scope: Scope,
        policy: Policy,
        clock: Callable[[], datetime],
        accounts: Callable[[], Mapping[str, Person]] = dict,
    ) -> None:
        self._database = database
        self._scope = scope
        self._policy = policy
        self._clock = clock
        self._read_accounts = accounts

    def turn(self) -> Sweeping | None:
        """Sweep if it is due; None where it is not."""
        now = self._clock()
        holder = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        with self._database.begin() as con:
            due = lease.acquire(con, LEASE, holder, now, self._policy.sweep_every)
        if due is None:
            return None
        try:
            return sweep_scope(self._database, self._scope, PORTS, "sweep", now, self._accounts())
        except Exception:
            with suppress(StoreError), self._database.begin() as con:
                lease.release(con, due, now + AGAIN_AFTER)
            raise

    def _accounts(self) -> Mapping[str, Person]:
        """Read who uses which account; where that cannot be read, machines keep the owners they have."""
        try:
            return self._read_accounts()
        except InputError as error:
            _log.warning("no owners found", why=str(error))
            return {}
