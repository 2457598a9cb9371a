"""Where this installation keeps its signed files and asks its signer."""

from dataclasses import dataclass
from pathlib import Path

from forestall.trust import ceremony
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
        return Repository(self.folder / ceremony.REPOSITORY)

    @property
    def online(self) -> Path:
        """The signer's own folder: its keys, its caps, its memory, its socket."""
        return self.folder / ceremony.ONLINE_FOLDER

    @property
    def offline(self) -> Path:
        """Where a ceremony leaves the keys that people carry away."""
        return self.folder / ceremony.OFFLINE

    @property
    def socket(self) -> Path:
        """Where the signer listens."""
        return self.online / SOCKET

    @property
    def development_passphrase(self) -> Path:
        """The file that makes a development ceremony convenient and worthless."""
        return self.folder / _WORD


def trust_place(directory: Path) -> TrustPlace:
    """Name the place for a server's directory."""
    return TrustPlace(directory / "trust")
