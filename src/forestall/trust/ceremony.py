"""The ceremony: every key is made once, offline, and the first root says who may sign what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Key

from forestall.domain.errors import InputError
from forestall.trust.caps import Caps, write_caps
from forestall.trust.keys import SUFFIX, Passphrase, make_key
from forestall.trust.metadata import (
    fingerprint,
    make_papers,
    make_root,
    make_snapshot,
    make_targets,
    make_timestamp,
    signed_by,
)
from forestall.trust.repository import Repository
from forestall.trust.roles import COMPANY, ONLINE, Duty, Role

REPOSITORY = "repository"
OFFLINE = "offline"
ONLINE_FOLDER = "online"


@dataclass(frozen=True, slots=True)
class Held:
    """What a ceremony left: where, and the name of the root that machines are enrolled with."""

    folder: Path
    fingerprint: str
    keys: tuple[Path, ...]


def hold(
    folder: Path,
    passphrase: Passphrase,
    now: datetime,
    caps: Caps,
    duties: Mapping[Role, Duty] = COMPANY,
    *,
    development: bool = False,
) -> Held:
    """Make all keys and the first metadata in a new folder: `offline/`, `online/` (with caps), `repository/`.

    Raises:
        InputError: the folder holds something already, or a passphrase is short.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty: a ceremony begins in a new folder")
    made = {
        role: [
            make_key(_place(folder, role, number), passphrase(f"{role}-{number}{SUFFIX}"))
            for number in range(1, duty.keys + 1)
        ]
        for role, duty in duties.items()
    }
    write_caps(folder / ONLINE_FOLDER, caps)
    root = _publish(Repository(folder / REPOSITORY), made, duties, now, development=development)
    return Held(folder, fingerprint(root), tuple(sorted(folder.rglob(f"*{SUFFIX}"))))


def _place(folder: Path, role: Role, number: int) -> Path:
    return folder / (ONLINE_FOLDER if role in ONLINE else OFFLINE) / f"{role}-{number}{SUFFIX}"


def _publish(
    repository: Repository,
    made: Mapping[Role, list[CryptoSigner]],
    duties: Mapping[Role, Duty],
    now: datetime,
    *,
    development: bool,
) -> bytes:
    """Write the first version of everything; returns the root."""
    holders: dict[Role, tuple[list[Key], int]] = {
        role: ([signer.public_key for signer in signers], duties[role].threshold)
        for role, signers in made.items()
    }
    root = signed_by(make_root(holders, now, development=development), made[Role.ROOT])
    repository.put_metadata(Role.ROOT, 1, root)
    papers = {Role.TARGETS: signed_by(make_targets(holders, now), made[Role.ROOT])}
    for role in (Role.REMEDIATIONS, Role.IMMINENT, Role.ORDERS):
        papers[role] = signed_by(make_papers(1, {}, role, now), made[role])
    for role, content in papers.items():
        repository.put_metadata(role, 1, content)
    snapshot = signed_by(make_snapshot(1, papers, now), made[Role.SNAPSHOT])
    repository.put_metadata(Role.SNAPSHOT, 1, snapshot)
    repository.put_metadata(
        Role.TIMESTAMP, 1, signed_by(make_timestamp(1, snapshot, now), made[Role.TIMESTAMP])
    )
    return root
