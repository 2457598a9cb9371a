"""What the server does in turns: the clockwork, elected by lease, and the watch."""

import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from forestall.clock import stopwatch
from forestall.domain.errors import SignerError, StoreError
from forestall.domain.policy import Policy
from forestall.server.catalogue import pull_due
from forestall.server.effects import Effects, apply_open
from forestall.server.enforcement import Enforcement
from forestall.server.passes import run_pass
from forestall.server.patrol import patrol
from forestall.server.watermark import Watermark
from forestall.store import lease
from forestall.store.database import Database
from forestall.store.lease import Lease

LEASE = "decide"
LEASE_PERIOD = timedelta(seconds=60)
PATROL_EVERY = timedelta(seconds=20)
"""The enforcement points are read back (P6.5, A13)."""
_log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))


class Outside(NamedTuple):
    """What a turn reaches beyond the database."""

    effects: Effects
    enforcement: Enforcement | None = None
    """Read back now and then; None where nothing is connected."""
    publish: Callable[[datetime], None] | None = None
    """Has the orders signed."""


class Clockwork:
    """Decides and carries out while this process holds the lease."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        outside: Outside,
        watermark: Watermark,
        clock: Callable[[], datetime],
    ) -> None:
        self._patrol_at: datetime | None = None
        self._database = database
        self._policy = policy
        self._outside = outside
        self._watermark = watermark
        self._clock = clock
        self._unsigned = ""
        self._holder = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._lease: Lease | None = None

    def turn(self) -> None:
        """Take one turn: decide, carry out, and have the orders signed; after a fault the lease is asked for anew."""
        try:
            self._take_turn(self._clock())
        except Exception:
            self._lease = None
            raise

    def end(self) -> None:
        """Give the lease back; without a database it runs out by itself."""
        if self._lease is not None:
            with suppress(StoreError), self._database.begin() as con:
                lease.release(con, self._lease, self._clock())

    def _take_turn(self, now: datetime) -> None:
        with self._database.begin() as con:
            held = self._lease
            if held is None or not lease.renew(con, held, now, LEASE_PERIOD):
                self._lease = lease.acquire(con, LEASE, self._holder, now, LEASE_PERIOD)
        if self._lease is None:
            return
        self._watermark.notice(self._database, now)
        observing = self._watermark.observing(self._database)
        run_pass(self._database, self._lease, now, self._policy, observing=observing)
        self._watermark.ship(self._database)
        apply_open(
            self._database, self._outside.effects, self._holder, now, self._policy, observing=observing
        )
        self._patrol(now, observing)
        self._watermark.ship(self._database)
        if not observing:
            self._sign(now)

    def _sign(self, now: datetime) -> None:
        """Have the orders signed; without a signer machines go on with their last valid ones."""
        why = ""
        try:
            if self._outside.publish is not None:
                self._outside.publish(now)
        except SignerError as error:
            why = str(error)
        if why and why != self._unsigned:
            _log.warning("orders are not signed", why=why)
        self._unsigned = why

    def _patrol(self, now: datetime, observing: str) -> None:
        """Read the enforcement points back, now and then; never more than a twentieth of the time goes into it."""
        enforcement, lease_held = self._outside.enforcement, self._lease
        due = self._patrol_at is None or now >= self._patrol_at
        if enforcement is None or not enforcement.points or lease_held is None or not due:
            return
        started = stopwatch()
        done = patrol(self._database, enforcement, lease_held, now, self._policy, observing=observing)
        self._patrol_at = now + max(PATROL_EVERY, 20 * timedelta(seconds=stopwatch() - started))
        for refusal in (*done.silent, *done.strayed):
            _log.warning("patrol", why=str(refusal))


class Watch:
    """Reads the configured sources when their time has come (P1.1); a slow or broken one holds up nothing else."""

    def __init__(self, database: Database, addresses: Sequence[str], clock: Callable[[], datetime]) -> None:
        self._database = database
        self._addresses = addresses
        self._clock = clock

    def turn(self) -> None:
        """Read what is due."""
        for report in pull_due(self._database, self._addresses, self._clock()):
            if report.trouble:
                _log.warning("source not read", source=report.feed, why=report.trouble)
