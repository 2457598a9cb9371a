"""Puts an installation together: settings, policy, database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forestall.clock import utc_now
from forestall.domain.policy import Policy
from forestall.server.policy_file import load_policy
from forestall.server.settings import EMBEDDED, Settings, load_settings
from forestall.server.watermark import FILE, Watermark
from forestall.store.database import Database
from forestall.store.embedded import Embedded


@dataclass(frozen=True, slots=True)
class Installation:
    """One Forestall, ready to use."""

    settings: Settings
    policy: Policy
    database: Database
    tend: Callable[[], object]
    """To be called now and then by who stays: starts the embedded database again where it has ended."""

    @property
    def watermark(self) -> Watermark:
        """The ledger's copy outside the database."""
        return Watermark(self.settings.directory / FILE)


@contextmanager
def opened(directory: Path | None = None) -> Iterator[Installation]:
    """Open the installation of a directory; starts the embedded database where it does not run yet.

    Raises:
        ForestallError: with a sentence that says what to do.
    """
    settings = load_settings(directory)
    policy = load_policy(settings.policy) if settings.policy else Policy()
    if settings.database_url != EMBEDDED:
        with Database(settings.database_url) as database:
            yield _ready(Installation(settings, policy, database, lambda: None))
        return
    with (
        Embedded(settings.directory / "database", settings.database_user) as embedded,
        Database(embedded.url) as database,
    ):
        yield _ready(Installation(settings, policy, database, embedded.start))


def _ready(installation: Installation) -> Installation:
    """Bring the schema up to date, and notice a restore before anybody writes."""
    installation.database.migrate()
    installation.watermark.notice(installation.database, utc_now())
    return installation
