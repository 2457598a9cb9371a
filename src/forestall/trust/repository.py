"""The folder of static files that agents, mirrors and caches read: `metadata/` and `targets/`, each file whole.

Metadata are named by version and targets by hash (consistent snapshots): a cache may keep them for ever. Only
`timestamp.json` changes under its name, and it is written last.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from forestall.domain.errors import InputError
from forestall.domain.recipe import Payload
from forestall.durable import write_whole
from forestall.trust.metadata import read_targets
from forestall.trust.payloads import PAYLOADS, chunks_of, is_payload, keep, payload_path
from forestall.trust.roles import Role

_KEPT = 16
"""Old versions of online metadata stay this many publications for agents in the middle of a refresh."""


@dataclass(frozen=True, slots=True)
class Repository:
    """One folder, written by one process."""

    directory: Path

    @property
    def exists(self) -> bool:
        """A ceremony was held."""
        return (self.directory / "metadata" / "timestamp.json").exists()

    def newest(self, role: Role) -> bytes:
        """Read a role's metadata in force.

        Raises:
            InputError: there is none.
        """
        path = self._metadata / "timestamp.json"
        if role is not Role.TIMESTAMP:
            versions = self._versions(role)
            path = self._metadata / f"{max(versions, default=0)}.{role}.json"
        try:
            return path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{path}: {error.strerror}. Hold a ceremony first: forestall keys ceremony"
            ) from None

    def root(self, version: int) -> bytes:
        """Read one version of root: agents are enrolled with the first."""
        return (self._metadata / f"{version}.root.json").read_bytes()

    def target(self, path: str, content_hash: str) -> bytes:
        """Read a target by its path and hash."""
        return self._place_of(path, content_hash).read_bytes()

    def files_of(self, metadata: bytes) -> dict[str, bytes]:
        """Read all papers that metadata names, by path."""
        named = read_targets(metadata).signed.targets
        return {
            path: self.target(path, target.hashes["sha256"])
            for path, target in named.items()
            if not is_payload(path)
        }

    def put_target(self, path: str, content: bytes) -> None:
        """Add a target; agents find it once metadata name it."""
        _put(self._place_of(path, hashlib.sha256(content).hexdigest()), content)

    def has(self, payload: Payload) -> bool:
        """Say whether a payload lies there already."""
        return self._place_of(payload_path(payload), payload.sha256).is_file()

    def put_payload(self, payload: Payload, source: IO[bytes]) -> None:
        """Add a payload from an open file; agents find it once metadata name it.

        Raises:
            InputError: it is not the one that was signed.
        """
        place = self._place_of(payload_path(payload), payload.sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        complaint = keep(place, payload, chunks_of(source), 0o644)
        if complaint:
            raise InputError(f"{payload_path(payload)}: {complaint}")

    def put_metadata(self, role: Role, version: int, content: bytes) -> None:
        """Add a version of a role's metadata; in force once the timestamp leads to it."""
        name = "timestamp.json" if role is Role.TIMESTAMP else f"{version}.{role}.json"
        _put(self._metadata / name, content)

    def prune(self) -> None:
        """Remove what no agent asks for any more: old online metadata, orders and payloads that nothing names."""
        for role in (Role.SNAPSHOT, Role.ORDERS):
            for version in sorted(self._versions(role))[:-_KEPT]:
                (self._metadata / f"{version}.{role}.json").unlink()
        named = {
            self._place_of(path, target.hashes["sha256"])
            for version in self._versions(Role.ORDERS)
            for path, target in read_targets(self._read(Role.ORDERS, version)).signed.targets.items()
        }
        named |= {
            self._place_of(path, target.hashes["sha256"])
            for path, target in read_targets(self.newest(Role.REMEDIATIONS)).signed.targets.items()
        }
        for folder in (self.directory / "targets" / Role.ORDERS, self.directory / "targets" / PAYLOADS):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path not in named:
                    path.unlink()

    @property
    def _metadata(self) -> Path:
        return self.directory / "metadata"

    def _read(self, role: Role, version: int) -> bytes:
        return (self._metadata / f"{version}.{role}.json").read_bytes()

    def _versions(self, role: Role) -> list[int]:
        found = (re.fullmatch(rf"([1-9][0-9]*)\.{role}\.json", name) for name in _names(self._metadata))
        return [int(match[1]) for match in found if match]

    def _place_of(self, path: str, content_hash: str) -> Path:
        folder, _, name = path.rpartition("/")
        return self.directory / "targets" / folder / f"{content_hash}.{name}"


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content, 0o644)
