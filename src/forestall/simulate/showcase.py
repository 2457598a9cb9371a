"""Keeps the made-up company open beside the real server: prepared in the background, shown as it lives."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from forestall.server.overview import Overview, overview
from forestall.server.wiring import opened
from forestall.simulate.demo import BEGINS, FIRST_LOOK, clock_of, open_demo
from forestall.store.database import Database

NOTHING_YET = Overview(
    now=BEGINS,
    machines=0,
    devices=(),
    updates_open=0,
    updates=(),
    campaigns=(),
    feeds=(),
    made_up=True,
    on_its_way_to=FIRST_LOOK,
)


class Showcase:
    """The company of one directory; its database runs while this is open."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._database: Database | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="showcase", daemon=True)

    def start(self) -> None:
        """Open the company; a new one lives up to the middle of its campaign."""
        self._thread.start()

    def stop(self) -> None:
        """Close it where it stands."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def overview(self) -> Overview:
        """Say how the company stands at its own time."""
        now = clock_of(self._directory)
        database = self._database
        if now is None or database is None:
            return NOTHING_YET
        on_its_way_to = FIRST_LOOK if now < FIRST_LOOK else None
        return replace(overview(database, now, self._policy), made_up=True, on_its_way_to=on_its_way_to)

    def _live(self) -> None:
        with opened(self._directory) as installation:
            self._policy = installation.policy
            company = open_demo(installation)
            self._database = installation.database
            for _ in company.advance(max(FIRST_LOOK - company.now, timedelta())):
                if self._stop.is_set():
                    break
            self._stop.wait()
            self._database = None
