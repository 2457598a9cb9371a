"""One scheduler as a process of its own: takes a turn at each instant it reads, and stops or dies where it is told."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from domain.made import POLICY
from forestall.domain.device import DeviceId
from forestall.domain.errors import ForestallError
from forestall.domain.intent import Intent
from forestall.domain.record import Receipt
from forestall.server import loops, passes
from forestall.store import intents, ledger, records
from forestall.store.database import Database
from server.decisions.company import World, installed, turn

SIGNALS = {"stop": signal.SIGSTOP, "kill": signal.SIGKILL, "": signal.SIGCONT}


class Recorded(World):
    """Every removal is a line of a file that survives the process."""

    log: Path
    point: str
    strike: Callable[[], None]

    def _close(self, intents: Sequence[Intent], now: datetime) -> list[Receipt]:
        if self.point == "before the effect":
            self.strike()
        file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, "".join(f"{intent.device}\n" for intent in intents).encode())
        os.fsync(file)
        os.close(file)
        if self.point == "after the effect":
            self.strike()
        return super()._close(intents, now)


def after(function: Callable, strike: Callable[[], None]) -> Callable:
    def wrapped(*arguments, **named):
        result = function(*arguments, **named)
        strike()
        return result

    return wrapped


def main(url: str, directory: str, log: str, point: str, how: str, *affected: str) -> None:
    struck = False

    def strike() -> None:
        nonlocal struck
        if not struck:
            struck = True
            os.kill(os.getpid(), SIGNALS[how])

    if point == "after gathering":
        passes.records.gather = after(records.gather, strike)
    elif point == "before the commit":
        passes.intents.order = after(intents.order, strike)
    elif point == "after the commit":
        loops.run_pass = after(loops.run_pass, strike)
    with Database(url) as database:
        world = Recorded(database, set(map(DeviceId, affected)))
        world.log, world.point, world.strike = Path(log), point, strike
        installation = installed(database, Path(directory), POLICY)
        for line in sys.stdin:
            try:
                turn(installation, world, datetime.fromisoformat(line.strip()))
                with database.begin() as con:
                    head = ledger.head(con)
                print(f"done {head.sequence}:{head.hash}", flush=True)
            except ForestallError as error:
                print(f"refused {error}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
