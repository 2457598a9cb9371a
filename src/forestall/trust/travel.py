"""The folder that travels between the server and the people who hold offline keys: packed, signed by each, taken back.

root.json, targets.json        who may sign, as it is in force
current/ROLE.json              what is in force
next/ROLE.json                 what is asked for; signatures grow in it
next/files/PATH                the papers that it names, and the payloads that are new
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Metadata, Root, Targets

from forestall.domain.errors import InputError
from forestall.domain.recipe import Payload
from forestall.trust.documents import ImminentDocument, RemediationDocument, remediation_of, write
from forestall.trust.metadata import (
    make_papers,
    missing_signatures,
    read_root,
    read_targets,
    version_of,
    write_metadata,
)
from forestall.trust.papers import SHAPES, paper_of, payloads_named, payloads_of
from forestall.trust.payloads import difference, is_payload, payload_of, payload_path
from forestall.trust.repository import Repository
from forestall.trust.roles import Role, imminent_path, remediation_path

_SIGNED_BY_PEOPLE = (Role.ROOT, Role.TARGETS, *SHAPES)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one role is asked to sign, in words, and how many signatures it still lacks."""

    role: Role
    changes: tuple[str, ...]
    missing: int


@dataclass(frozen=True, slots=True)
class Folder:
    """One travelling folder."""

    path: Path

    def pack(self, repository: Repository) -> None:
        """Put in what is in force.

        Raises:
            InputError: the folder holds something already.
        """
        if self.path.exists() and any(self.path.iterdir()):
            raise InputError(f"{self.path} is not empty: pack into a new folder")
        (self.path / "next").mkdir(parents=True)
        (self.path / "current").mkdir()
        for role in _SIGNED_BY_PEOPLE:
            (self.path / "current" / f"{role}.json").write_bytes(repository.newest(role))
        for role in SHAPES:
            for path, content in repository.files_of(repository.newest(role)).items():
                self._put(self.path / "current" / "files" / path, content)

    def propose(
        self,
        papers: Sequence[RemediationDocument | ImminentDocument],
        withdrawn: Sequence[str],
        now: datetime,
        payloads: Sequence[Path] = (),
    ) -> None:
        """Ask for papers to be signed, and for others, by their paths, to be taken back; new payloads travel along."""
        for file in payloads:
            copy = self.path / "next" / "files" / payload_path(payload_of(file))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        gone = set(withdrawn)
        for role, shape in SHAPES.items():
            place = remediation_path if role is Role.REMEDIATIONS else imminent_path
            new = {place(remediation_of(p)): write(p) for p in papers if isinstance(p, shape)}
            before = self._files("current", role)
            after = {path: data for path, data in (before | new).items() if path not in gone}
            if after != before:
                self._ask(role, after, now)

    def renew(self, role: Role, now: datetime) -> None:
        """Ask for the same papers to be signed again: their signatures run out, or a key was taken away."""
        self._ask(role, self._files("current", role), now)

    def put(self, role: Role, content: bytes) -> None:
        """Ask for metadata to be signed."""
        self._put(self.path / "next" / f"{role}.json", content)

    def asked(self) -> list[Asked]:
        """Say what is asked for, role by role; every paper is read, not its name only."""
        self._current(Role.ROOT)
        return [
            Asked(role, tuple(self._changes(role)), self._missing(role))
            for role in _SIGNED_BY_PEOPLE
            if self._next(role) is not None
        ]

    def sign(self, keys: Sequence[CryptoSigner]) -> list[tuple[Role, str]]:
        """Sign everything that these keys may sign; returns role and key of every new signature."""
        made: list[tuple[Role, str]] = []
        for role in _SIGNED_BY_PEOPLE:
            content = self._next(role)
            if content is None:
                continue
            list(self._changes(role))  # a paper that cannot be read is not signed
            metadata: Metadata[Root] | Metadata[Targets]
            metadata = read_root(content) if role is Role.ROOT else read_targets(content)
            for key in keys:
                name = key.public_key.keyid
                if name in self._keyids(role) and name not in metadata.signatures:
                    metadata.sign(key, append=True)
                    made.append((role, name))
            self.put(role, write_metadata(metadata))
        return made

    def contents(self) -> tuple[dict[Role, bytes], dict[str, bytes]]:
        """Give what the signer is to adopt."""
        metadata = {role: data for role in _SIGNED_BY_PEOPLE if (data := self._next(role)) is not None}
        if not metadata:
            raise InputError(f"{self.path}: nothing is asked for in this folder")
        files: dict[str, bytes] = {}
        for role in SHAPES:
            if role in metadata:
                files |= self._files("next", role)
        return metadata, files

    def payloads(self) -> dict[Payload, Path]:
        """Find the payloads that travel along: those of new recipes."""
        new = self._payloads("next") - self._payloads("current")
        return {each: self.path / "next" / "files" / payload_path(each) for each in new}

    def newest(self, role: Role) -> bytes:
        """Read a role's metadata as asked for, else as in force."""
        return self._next(role) or self._current(role)

    def _ask(self, role: Role, files: Mapping[str, bytes], now: datetime) -> None:
        before = self._current(role)
        version = version_of(before) + 1
        self.put(role, write_metadata(Metadata(make_papers(version, files, role, now, payloads_of(files)))))
        for path, content in files.items():
            self._put(self.path / "next" / "files" / path, content)

    def _current(self, role: Role) -> bytes:
        path = self.path / "current" / f"{role}.json"
        try:
            return path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{path}: {error.strerror}: no travelling folder; make one: forestall keys pack"
            ) from None

    def _next(self, role: Role) -> bytes | None:
        path = self.path / "next" / f"{role}.json"
        return path.read_bytes() if path.exists() else None

    def _files(self, part: str, role: Role) -> dict[str, bytes]:
        path = self.path / part / f"{role}.json"
        named = read_targets(path.read_bytes()).signed.targets if path.exists() else {}
        found: dict[str, bytes] = {}
        for name, target in named.items():
            if is_payload(name):
                continue
            paper_path = self.path / part / "files" / name
            if not paper_path.resolve().is_relative_to((self.path / part / "files").resolve()):
                raise InputError(f"{self.path}: names a file outside itself: {name[:80]}")
            try:
                data = paper_path.read_bytes()
                target.verify_length_and_hashes(data)
            except (OSError, LengthOrHashMismatchError):
                raise InputError(f"{paper_path}: is not the file that the folder names") from None
            found[name] = data
        return found

    def _payloads(self, part: str) -> frozenset[Payload]:
        path = self.path / part / f"{Role.REMEDIATIONS}.json"
        return payloads_named(path.read_bytes()) if path.exists() else frozenset()

    def _check_payloads(self, files: Mapping[str, bytes]) -> None:
        """Make sure that what is signed about payloads is what lies here and what recipes need."""
        if self._payloads("next") != payloads_of(files):
            raise InputError(f"{self.path}: names other payloads than its recipes need")
        for payload, path in self.payloads().items():
            try:
                with path.open("rb") as source:
                    complaint = difference(payload, source)
            except OSError as error:
                complaint = f"{error.strerror}: name its file when packing, with --payload"
            if complaint:
                raise InputError(f"{path}: {complaint}")

    def _changes(self, role: Role) -> Iterable[str]:
        if role in {Role.ROOT, Role.TARGETS}:
            yield f"the holders of {role} and the roles below it"
            return
        before, after = self._files("current", role), self._files("next", role)
        if role is Role.REMEDIATIONS:
            self._check_payloads(after)
        for path, data in after.items():
            paper = paper_of(role, path, data)
            if before.get(path) != data:
                yield f"{remediation_of(paper)}: {msgspec.json.encode(paper).decode()}"
        yield from (f"taken back: {path}" for path in before if path not in after)
        if before.keys() == after.keys():
            yield "the same papers, signed again"

    def _delegators(self, role: Role) -> list[Root | Targets]:
        root = read_root(self.newest(Role.ROOT)).signed
        if role is Role.ROOT:
            return [read_root(self._current(Role.ROOT)).signed, root]
        return [root] if role is Role.TARGETS else [read_targets(self.newest(Role.TARGETS)).signed]

    def _keyids(self, role: Role) -> set[str]:
        return {
            name for each in self._delegators(role) for name in each.get_delegated_role(role.value).keyids
        }

    def _missing(self, role: Role) -> int:
        return missing_signatures(self._next(role) or b"", role, self._delegators(role))

    @staticmethod
    def _put(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
