"""The inventory in a copy of `/var/lib/dpkg/status`, for machines that sent a file instead of an agent."""

import re
from collections.abc import Mapping

from forestall.domain.deb822 import source_of, stanzas
from forestall.domain.errors import InputError
from forestall.domain.inventory import Inventory, Package, PackageState

MOST_PACKAGES = 200_000
RELEASES = {"10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky"}
"""Code names by the major version of `base-files`, which is the version of the release."""

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,127}")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ABSENT = frozenset({"not-installed", "config-files"})


def read_status(text: str, release: str | None = None) -> Inventory:
    """Read a dpkg status file; without `release` it is taken from the version of `base-files`.

    Raises:
        InputError: a stanza is not one of an installed package, naming its line, or the release is not known.
    """
    packages = []
    for line, stanza in stanzas(text):
        package = _package(line, stanza)
        if package:
            packages.append(package)
        if len(packages) > MOST_PACKAGES:
            raise InputError(
                f"line {line}: more than {MOST_PACKAGES} packages; this is no machine's status file"
            )
    if not packages:
        raise InputError("no installed package in it; give the machine's /var/lib/dpkg/status")
    return Inventory(release or _release(packages), tuple(packages))


def _package(line: int, stanza: Mapping[str, str]) -> Package | None:
    missing = {"Package", "Status"} - stanza.keys()
    if missing:
        raise InputError(
            f"line {line}: a stanza without {' and '.join(sorted(missing))}; is this a dpkg status file?"
        )
    words = stanza["Status"].split()
    if len(words) != 3:
        raise InputError(f"line {line}: Status must have three words, as in 'install ok installed'")
    _, flag, state = words
    if state in _ABSENT and flag == "ok":
        return None
    name, architecture = stanza["Package"], stanza.get("Architecture", "")
    source, source_version = source_of(stanza)
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(source) or not _ARCHITECTURE.fullmatch(architecture):
        raise InputError(
            f"line {line}: {name[:60]!r} is no package: its name, source or architecture is unusable"
        )
    whole = state == "installed" and flag == "ok"
    return Package(
        name,
        stanza.get("Version", ""),
        architecture,
        PackageState.INSTALLED if whole else PackageState.BROKEN,
        source,
        source_version,
    )


def _release(packages: list[Package]) -> str:
    version = next((package.version for package in packages if package.name == "base-files"), "")
    try:
        return RELEASES[re.split(r"\D", version, maxsplit=1)[0]]
    except KeyError:
        raise InputError(
            "the Debian release cannot be told from base-files; name it with --release"
        ) from None
