"""The server's own loops: the clockwork, elected by lease, and the watch; a missed turn is made good by the next."""

import secrets
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from forestall.clock import stopwatch
from forestall.domain.errors import ForestallError, SignerError, StoreError
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
    """Runs a pass every few seconds while this process holds the lease.

    Wake-ups are hints: `wake` only makes the next turn come sooner.
    """

    def __init__(
        self,
        database: Database,
        policy: Policy,
        outside: Outside,
        watermark: Watermark,
        clock: Callable[[], datetime],
        every_seconds: float,
    ) -> None:
        self._patrol_at: datetime | None = None
        self._database = database
        self._policy = policy
        self._outside = outside
        self._watermark = watermark
        self._clock = clock
        self._every_seconds = every_seconds
        self._unsigned = ""
        self._holder = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._lease: Lease | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clockwork", daemon=True)

    def start(self) -> None:
        """Start turning."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the turn at hand, give the lease back, and end."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Take the next turn now."""
        self._wake.set()

    def turn(self) -> None:
        """Take one turn: decide, carry out, and have the orders signed."""
        now = self._clock()
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

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.turn()
            except ForestallError as error:
                self._lease = None
                _log.warning("turn failed", why=str(error))
            except Exception:  # noqa: BLE001 - the clockwork must not stop for a fault in one turn
                self._lease = None
                _log.exception("turn failed by a fault of Forestall's own")
            self._wake.wait(self._every_seconds)
            self._wake.clear()
        if self._lease is not None:
            with (
                suppress(StoreError),
                self._database.begin() as con,
            ):  # without it the lease runs out by itself
                lease.release(con, self._lease, self._clock())


class Watch:
    """Reads the configured sources when their time has come (P1.1); a slow or broken one holds up nothing else."""

    def __init__(
        self,
        database: Database,
        addresses: Sequence[str],
        clock: Callable[[], datetime],
        every_seconds: float = 60.0,
    ) -> None:
        self._database = database
        self._addresses = addresses
        self._clock = clock
        self._every_seconds = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Read nothing more; a download under way is not waited for, and nothing of it is kept."""
        self._stop.set()

    def turn(self) -> None:
        """Read what is due."""
        for report in pull_due(self._database, self._addresses, self._clock()):
            if report.trouble:
                _log.warning("source not read", source=report.feed, why=report.trouble)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.turn()
            except (ForestallError, OSError) as error:
                if not self._stop.is_set():
                    _log.warning("watch failed", why=str(error))
            except Exception:  # noqa: BLE001 - the watch must not stop for a fault in one source
                _log.exception("watch failed by a fault of Forestall's own")
            self._stop.wait(self._every_seconds)
