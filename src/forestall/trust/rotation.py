"""Rotation: one key of a role is replaced by a new one; the people who hold root sign that it is so."""

from copy import deepcopy
from datetime import datetime

from securesystemslib.signer import Key
from tuf.api.metadata import Root, Targets

from forestall.domain.errors import InputError
from forestall.trust.metadata import expiry, read_root, read_targets, write_metadata
from forestall.trust.roles import PATHS, Role
from forestall.trust.travel import Folder


def rotate(folder: Folder, role: Role, lost: str, new: Key, now: datetime) -> None:
    """Ask for a key of a role to be replaced; `lost` is the beginning of the old key's id.

    Raises:
        InputError: no key of this role begins so, or several do.
    """
    if role in PATHS:
        metadata = read_targets(folder.newest(Role.TARGETS))
        _replace(metadata.signed, role, lost, new)
        _next(metadata.signed, Role.TARGETS, now)
        metadata.signatures.clear()
        folder.put(Role.TARGETS, write_metadata(metadata))
        if role is not Role.ORDERS:  # what the old key signed must be signed by the others
            folder.renew(role, now)
        return
    root = read_root(folder.newest(Role.ROOT))
    for each in (Role.ROOT, Role.TARGETS) if role is Role.ROOT else (role,):
        _replace(root.signed, each, lost, new)
    _next(root.signed, Role.ROOT, now)
    root.signatures.clear()
    folder.put(Role.ROOT, write_metadata(root))
    if role is Role.ROOT:
        targets = read_targets(folder.newest(Role.TARGETS))
        _next(targets.signed, Role.TARGETS, now)
        targets.signatures.clear()
        folder.put(Role.TARGETS, write_metadata(targets))


def _replace(delegator: Root | Targets, role: Role, lost: str, new: Key) -> None:
    held = [name for name in delegator.get_delegated_role(role.value).keyids if name.startswith(lost)]
    if len(held) != 1:
        raise InputError(
            f"{len(held)} keys of {role} begin with “{lost[:64]}”: forestall keys status lists them"
        )
    delegator.revoke_key(held[0], role.value)
    delegator.add_key(deepcopy(new), role.value)


def _next(signed: Root | Targets, role: Role, now: datetime) -> None:
    signed.version += 1
    signed.expires = expiry(role, now)
