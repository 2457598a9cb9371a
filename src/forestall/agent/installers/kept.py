"""What a recipe changed on this machine and what was there before, kept so that it can be taken back (A7)."""

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from forestall.domain.errors import AgentError
from forestall.domain.remediation import RemediationId
from forestall.durable import settle, write_whole


class Before(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stood in the place of a file; `existed` false where there was none."""

    existed: bool
    uid: int = 0
    gid: int = 0
    mode: int = 0
    live: str = ""
    """The value a kernel parameter had."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The folder of one remediation."""

    folder: Path

    @property
    def content(self) -> Path:
        """The file as it was."""
        return self.folder / "content"

    @property
    def unfinished(self) -> Path:
        """There while a step runs that is not known to have come to its end."""
        return self.folder / "unfinished"

    def begin(self) -> None:
        """Note that a step begins; it outlives a power cut."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self.unfinished, b"", 0o600)

    def end(self) -> None:
        """Note that it came to its end."""
        self.unfinished.unlink(missing_ok=True)

    def keep(self, place: Path, live: str = "") -> None:
        """Keep the file at `place` before another takes it: the content first, then the word that it is whole."""
        try:
            found = place.stat()
        except FileNotFoundError:
            before = Before(existed=False, live=live)
        else:
            put(place, self.content, found.st_uid, found.st_gid, 0o600)
            before = Before(True, found.st_uid, found.st_gid, found.st_mode & 0o7777, live)
        write_whole(self.folder / "before.json", msgspec.json.encode(before), 0o600)

    def before(self) -> Before | None:
        """Read what was kept; None where nothing was.

        Raises:
            AgentError: it cannot be read.
        """
        path = self.folder / "before.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Before)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
            raise AgentError(f"{path} cannot be read ({error}): take the change back by hand") from None

    def forget(self) -> None:
        """Keep it no longer."""
        shutil.rmtree(self.folder, ignore_errors=True)


def kept_for(directory: Path, remediation: RemediationId) -> Kept:
    """Find the folder of one remediation in the agent's directory."""
    return Kept(directory / "kept" / hashlib.sha256(remediation.encode()).hexdigest()[:32])


def put(source: Path, place: Path, uid: int, gid: int, mode: int) -> None:
    """Copy a file to its place, whole and durable or not at all; its neighbours never see half of it."""
    temporary = place.with_name(f".{place.name}.forestall")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as sink, source.open("rb") as given:
        shutil.copyfileobj(given, sink, 1 << 20)
        if (uid, gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        sink.flush()
        os.fsync(descriptor)
    temporary.replace(place)
    settle(place.parent)
