"""Private keys: Ed25519, one PKCS#8 file each, encrypted with a passphrase; no key is ever in a database or a log."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner

from forestall.domain.errors import InputError
from forestall.durable import settle

SUFFIX = ".pem"
SHORTEST_PASSPHRASE = 12

Keys = Sequence[CryptoSigner]
Passphrase = Callable[[str], bytes]
"""Gives the passphrase of a key file, by its name; asks a person or reads a credential."""


def make_key(path: Path, passphrase: bytes) -> CryptoSigner:
    """Make a key and keep it in a new file that only its owner reads.

    Raises:
        InputError: the passphrase is short, or the file exists or cannot be written.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise InputError(
            f"The passphrase of {path.name} is too short: use {SHORTEST_PASSPHRASE} characters or more"
        )
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(
            f"{path}: cannot write the key: {error.strerror}; keys are never overwritten"
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    settle(path.parent)
    return CryptoSigner(key)


def load_key(path: Path, passphrase: Passphrase) -> CryptoSigner:
    """Open a key file.

    Raises:
        InputError: it cannot be read, the passphrase is wrong, or it holds another kind of key.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read the key: {error.strerror}") from None
    try:
        key = load_pem_private_key(content, passphrase(path.name))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(f"{path}: wrong passphrase, or not an encrypted key file") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: holds another kind of key than Ed25519")
    return CryptoSigner(key)


def load_keys(places: Iterable[Path], passphrase: Passphrase) -> list[CryptoSigner]:
    """Open key files; of a folder, all that are in it."""
    files = [
        file for place in places for file in (sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place])
    ]
    if not files:
        raise InputError("There is no key file: name one, or the folder they lie in, with --keys")
    return [load_key(file, passphrase) for file in files]


def passphrase_in(path: Path) -> Passphrase:
    """Use one file's first line for every key: a credential of the service manager, or a development ceremony."""
    try:
        line = path.read_bytes().split(b"\n")[0].strip()
    except OSError as error:
        raise InputError(f"{path}: cannot read the passphrase: {error.strerror}") from None
    return lambda _: line
