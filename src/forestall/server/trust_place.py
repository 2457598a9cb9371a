"""Where this installation keeps its signed files and asks its signer."""

import secrets
import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from forestall.domain.errors import InputError
from forestall.trust.caps import Caps
from forestall.trust.ceremony import OFFLINE, ONLINE_FOLDER, REPOSITORY, Held, hold
from forestall.trust.channel import SOCKET
from forestall.trust.repository import Repository

_WORD = "development-passphrase"


@dataclass(frozen=True, slots=True)
class TrustPlace:
    """The folder `trust` in the server's directory, as a ceremony makes it; offline keys do not stay in it."""

    folder: Path

    @property
    def repository(self) -> Repository:
        """The static files."""
        return Repository(self.folder / REPOSITORY)

    @property
    def online(self) -> Path:
        """The signer's own folder: its keys, its caps, its memory, its socket."""
        return self.folder / ONLINE_FOLDER

    @property
    def offline(self) -> Path:
        """Where a ceremony leaves the keys that people carry away."""
        return self.folder / OFFLINE

    @property
    def socket(self) -> Path:
        """Where the signer listens."""
        return self.online / SOCKET

    @property
    def development_passphrase(self) -> Path:
        """The file that makes a development ceremony convenient and worthless."""
        return self.folder / _WORD

    def hold_development(self, caps: Caps, now: datetime) -> Held:
        """Hold a development ceremony: all keys stay here, and their passphrase beside them; root says so.

        Raises:
            InputError: a ceremony was held already.
        """
        if self.folder.exists():
            raise InputError(f"{self.folder} is there already: keys are never overwritten")
        word = secrets.token_urlsafe(24)
        half_made = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(half_made, ignore_errors=True)
        held = hold(half_made, lambda _: word.encode(), now, caps, development=True)
        half_made.chmod(0o700)
        (half_made / _WORD).touch(mode=0o600)
        (half_made / _WORD).write_text(f"{word}\n")
        half_made.rename(self.folder)
        return replace(held, folder=self.folder, keys=tuple(sorted(self.folder.rglob("*.pem"))))


def trust_place(directory: Path) -> TrustPlace:
    """Name the place for a server's directory."""
    return TrustPlace(directory / "trust")
