"""TUF metadata made, signed and read: the steps that ceremony, travelling folder and signer share."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.metadata import Role as TufRole
from tuf.api.serialization.json import JSONSerializer

from forestall.domain.errors import InputError
from forestall.domain.recipe import Payload
from forestall.trust.payloads import payload_path
from forestall.trust.roles import PATHS, Role, period_of

DEVELOPMENT = "x-forestall-development"
"""A field of root: these keys lie on the server, they protect nothing; pages say so."""

Content = TypeVar("Content", Root, Targets, Snapshot, Timestamp)
COMPACT = JSONSerializer(compact=True)
"""How our own repository writes metadata."""


def expiry(role: Role, now: datetime) -> datetime:
    """Say until when what this role signs now is good; TUF counts in whole seconds."""
    return (now + period_of(role)).replace(microsecond=0)


def make_root(keys: Mapping[Role, tuple[Sequence[Key], int]], now: datetime, *, development: bool) -> Root:
    """Say who holds the top roles; `targets` is held by root's keys."""
    holders = {**keys, Role.TARGETS: keys[Role.ROOT]}
    roles = {
        role.value: TufRole([key.keyid for key in holders[role][0]], holders[role][1])
        for role in (Role.ROOT, Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
    }
    known = {
        key.keyid: key for role in (Role.ROOT, Role.SNAPSHOT, Role.TIMESTAMP) for key in holders[role][0]
    }
    extra = {DEVELOPMENT: True} if development else {}
    return Root(1, None, expiry(Role.ROOT, now), known, roles, True, extra)


def make_targets(keys: Mapping[Role, tuple[Sequence[Key], int]], now: datetime) -> Targets:
    """Say who holds the three roles that sign papers, and which paths each may name."""
    roles = {
        role.value: DelegatedRole(
            role.value, [key.keyid for key in keys[role][0]], keys[role][1], True, list(paths)
        )
        for role, paths in PATHS.items()
    }
    known = {key.keyid: key for role in PATHS for key in keys[role][0]}
    return Targets(1, None, expiry(Role.TARGETS, now), {}, Delegations(known, roles))


def make_papers(
    version: int, files: Mapping[str, bytes], role: Role, now: datetime, payloads: Iterable[Payload] = ()
) -> Targets:
    """Make metadata of a role that signs papers: these files, the payloads of their recipes, and no others."""
    named = {path: TargetFile.from_data(path, content, ["sha256"]) for path, content in files.items()}
    for each in payloads:
        path = payload_path(each)
        named[path] = TargetFile(each.length, {"sha256": each.sha256}, path)
    return Targets(version, None, expiry(role, now), named)


def make_snapshot(version: int, content: Mapping[Role, bytes], now: datetime) -> Snapshot:
    """Make a snapshot: version, length and hash of each role's metadata, so that nothing can be mixed."""
    meta = {f"{role}.json": _listed(data, version_of(data)) for role, data in content.items()}
    return Snapshot(version, None, expiry(Role.SNAPSHOT, now), meta)


def make_timestamp(version: int, snapshot: bytes, now: datetime) -> Timestamp:
    """Make a timestamp that leads to a snapshot."""
    listed = _listed(snapshot, version_of(snapshot))
    return Timestamp(version, None, expiry(Role.TIMESTAMP, now), listed)


def signed_by(signed: Content, signers: Iterable[CryptoSigner]) -> bytes:
    """Sign and write; nothing in the result can be changed without a change of meaning, not even a blank."""
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes(COMPACT)


def write_metadata(metadata: Metadata[Root] | Metadata[Targets]) -> bytes:
    """Write metadata compactly, signatures as they are."""
    return metadata.to_bytes(COMPACT)


def read_targets(data: bytes) -> Metadata[Targets]:
    """Read metadata of `targets` or a role below it.

    Raises:
        InputError: it is none.
    """
    try:
        found = Metadata[Targets].from_bytes(data)
    except RepositoryError as error:
        raise InputError(f"not TUF metadata: {str(error)[:200]}") from None
    if found.signed.type != Targets.type:
        raise InputError(f"metadata of {found.signed.type}, not of a role that names files")
    return found


def read_root(data: bytes) -> Metadata[Root]:
    """Read metadata of root.

    Raises:
        InputError: it is none.
    """
    try:
        found = Metadata[Root].from_bytes(data)
    except RepositoryError as error:
        raise InputError(f"not TUF metadata: {str(error)[:200]}") from None
    if found.signed.type != Root.type:
        raise InputError(f"metadata of {found.signed.type}, not of root")
    return found


def missing_signatures(data: bytes, role: Role, delegators: Iterable[Root | Targets]) -> int:
    """Count the signatures that metadata still lacks before every delegator accepts it."""
    metadata: Metadata[Root] | Metadata[Targets] = (
        read_root(data) if role is Role.ROOT else read_targets(data)
    )
    return max(
        each.get_verification_result(role.value, metadata.signed_bytes, metadata.signatures).missing
        for each in delegators
    )


def verified(data: bytes, role: Role, delegator: Root | Targets) -> Metadata[Targets]:
    """Read metadata of a role that names files, once enough of its keys have signed it.

    Raises:
        InputError: too few have, or it is no metadata.
    """
    found = read_targets(data)
    try:
        delegator.verify_delegate(role.value, found.signed_bytes, found.signatures)
    except UnsignedMetadataError:
        raise InputError(f"{role}: not signed by enough of its keys") from None
    return found


def fingerprint(root: bytes) -> str:
    """Name a root by the SHA-256 of its file: people compare it when they enrol machines."""
    return hashlib.sha256(root).hexdigest()


def is_development(root: Root) -> bool:
    """Say whether a root comes from a development ceremony."""
    return root.unrecognized_fields.get(DEVELOPMENT) is True


def version_of(data: bytes) -> int:
    """Read the version of our own metadata, whatever their role."""
    return Metadata.from_bytes(data).signed.version


def _listed(data: bytes, version: int) -> MetaFile:
    return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})
