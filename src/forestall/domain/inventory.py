"""What is installed on a machine, in the words of its package database."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class PackageState(StrEnum):
    """How far dpkg got with a package; only INSTALLED counts as installed (A2).

    dpkg shows the new version for a package whose installation was cut off (`iF`), so a version alone proves
    nothing.
    """

    INSTALLED = "installed"
    BROKEN = "broken"
    """Half-installed, half-configured, unpacked, triggers pending or awaited, or reinstallation required."""


@dataclass(frozen=True, slots=True)
class Package:
    """One binary package on a machine with the source package it was built from."""

    name: str
    version: str
    architecture: str
    state: PackageState
    source: str
    source_version: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """All packages of one machine; `release` is the distribution's code name, `bookworm` for example."""

    release: str
    packages: tuple[Package, ...]


def hash_of(inventory: Inventory) -> str:
    """Name the inventory by its content: SHA-256 over the release and the sorted packages.

    One line each, fields joined by tabs: name, version, architecture, state, source, source version.
    """
    lines = sorted(
        f"{p.name}\t{p.version}\t{p.architecture}\t{p.state}\t{p.source}\t{p.source_version}\n"
        for p in inventory.packages
    )
    return hashlib.sha256("".join([f"{inventory.release}\n", *lines]).encode()).hexdigest()
