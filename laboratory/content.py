"""The content store: the security updates that a fresh Debian lacks today, as a small signed archive."""

import email.utils
import gzip
import hashlib
import json
import lzma
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from forestall.agent.installers.apt import read_plan
from forestall.clock import utc_now
from laboratory import clones
from laboratory.host import CODENAME, Archive, LabError, run, start
from laboratory.network import Port

_ENTRY = re.compile(
    r"(?P<source>\S+) \((?P<version>[^)]+)\) (?P<distribution>[^;]+); urgency=(?P<urgency>\w+)"
)
_GPG = ("gpg", "--batch", "--quiet", "--yes", "--passphrase", "")
_KEYRING = "etc/apt/keyrings/laboratory.gpg"


@dataclass(frozen=True, slots=True)
class Deb:
    """One downloaded package."""

    path: Path
    name: str
    version: str
    source: str
    source_version: str


@dataclass(frozen=True, slots=True)
class Pending:
    """One source package that has a security update now, with its packages."""

    source: str
    version: str
    debs: tuple[Deb, ...]

    @property
    def remediation(self) -> str:
        """What Forestall calls it."""
        return f"{CODENAME}/{self.source}/{self.version}"


def fetch_pending(root: Path, archive: Archive, pool: Path) -> list[Pending]:
    """Let a clone find in the real archive what it lacks, and keep the packages; beside them those it has."""
    main = f"deb {archive.main} {CODENAME} main"
    clones.open_to(root, archive, main, f"deb {archive.security} {CODENAME}-security main")
    apt = ("chroot", root, "apt-get", "-q", "-y")
    run(*apt, "update")
    plan = read_plan(run(*apt, "--simulate", "dist-upgrade"))
    if not plan.changes:
        raise LabError("a fresh Debian of today lacks no update: there is nothing to drive")
    run(*apt, "--download-only", "dist-upgrade", limit=900)
    pool.mkdir(parents=True)
    debs = [
        read_deb(Path(shutil.move(path, pool)))
        for path in sorted((root / "var/cache/apt/archives").glob("*.deb"))
    ]
    for change in plan.changes:
        if change.old:
            run("chroot", root, "apt-get", "-q", "download", f"{change.name}={change.old}")
    for path in root.glob("*.deb"):
        shutil.move(path, pool)
    upgraded = {change.name.partition(":")[0] for change in plan.changes if change.old}
    return _grouped([deb for deb in debs if deb.name in upgraded])


def choose(pending: list[Pending]) -> Pending:
    """Take openssl when it is pending, else the first one with a library that a process can hold on to."""
    fitting = [one for one in pending if libraries(one)]
    if not fitting:
        raise LabError(f"none of the pending updates has a shared library: {[one.source for one in pending]}")
    return next((one for one in fitting if one.source == "openssl"), fitting[0])


def libraries(pending: Pending) -> list[str]:
    """List the shared libraries in the packages of an update."""
    listed = "".join(run("dpkg-deb", "--contents", deb.path) for deb in pending.debs)
    return re.findall(r"\s\.(/\S+/lib[^/\s]+\.so\.[0-9][^/\s]*)$", listed, re.MULTILINE)


def advisory_of(pending: Pending) -> str:
    """Write the update down as one line of the uploads format, from the changelog inside its package."""
    text = _changelog(pending)
    head = _ENTRY.match(text)
    body, _, trailer = text.partition("\n -- ")
    if head is None or not trailer:
        raise LabError(f"the changelog of {pending.source} cannot be read")
    date = email.utils.parsedate_to_datetime(trailer.splitlines()[0].partition(">  ")[2])
    words = "\n".join(body.splitlines()[1:]).strip("\n")
    upload = {
        "source": pending.source,
        "version": pending.version,
        "distribution": head["distribution"].split()[0],
        "date": date.astimezone(utc_now().tzinfo).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "urgency": head["urgency"],
        "lts": False,
        "advisory": None,
        "cves": sorted(set(re.findall(r"CVE-\d{4}-\d{4,7}", words))),
        "malformed_ids": [],
        "text": words,
    }
    return json.dumps(upload)


def publish(store: Path, keys: Path) -> bytes:
    """Index and sign the store with a throw-away key; return the public key."""
    keys.mkdir(mode=0o700)
    home = {"GNUPGHOME": str(keys)}
    run(*_GPG, "--quick-generate-key", "Forestall laboratory", "ed25519", "sign", "1d", environment=home)
    run(*_GPG, "--export", "-o", keys / "public.gpg", environment=home)
    index(store, keys)
    return (keys / "public.gpg").read_bytes()


def index(store: Path, keys: Path) -> None:
    """Index and sign what lies in the store now."""
    packages = "\n".join(_stanza(deb, store) for deb in sorted(store.glob("pool/*.deb"))).encode()
    indexes = {"Packages": packages, "Packages.xz": lzma.compress(packages)}
    for name, content in indexes.items():
        (store / name).write_bytes(content)
    sums = "".join(f" {hashlib.sha256(c).hexdigest()} {len(c)} {name}\n" for name, c in indexes.items())
    date = email.utils.format_datetime(utc_now(), usegmt=True)
    (store / "Release").write_text(f"Origin: Laboratory\nSuite: laboratory\nDate: {date}\nSHA256:\n{sums}")
    home = {"GNUPGHOME": str(keys)}
    run(*_GPG, "--clearsign", "-o", store / "InRelease", store / "Release", environment=home)


def serve(store: Path, port: Port, python: str, log: Path) -> subprocess.Popen[bytes]:
    """Serve the store over HTTP in the management namespace."""
    server = ("-m", "http.server", "--bind", port.address, "--directory", store, "80")
    return start(log, *port.enter, python, *server)


def point_at_store(root: Path, public_key: bytes, address: str) -> None:
    """Make the content store the machine's one channel (P5.5)."""
    (root / _KEYRING).parent.mkdir(parents=True, exist_ok=True)
    (root / _KEYRING).write_bytes(public_key)
    clones.set_sources(root, f"deb [signed-by=/{_KEYRING}] http://{address}/ ./")


def read_deb(path: Path) -> Deb:
    """Read what a package says of itself."""
    shown = run(
        "dpkg-deb",
        "--show",
        "--showformat=${Package}\t${Version}\t${source:Package}\t${source:Version}",
        path,
    )
    return Deb(path, *shown.split("\t"))


def _grouped(debs: list[Deb]) -> list[Pending]:
    sources = sorted({(deb.source, deb.source_version) for deb in debs})
    return [
        Pending(source, version, tuple(d for d in debs if (d.source, d.source_version) == (source, version)))
        for source, version in sources
    ]


def _stanza(deb: Path, store: Path) -> str:
    content = deb.read_bytes()
    size, digest = len(content), hashlib.sha256(content).hexdigest()
    return f"{run('dpkg-deb', '--field', deb)}Filename: {deb.relative_to(store)}\nSize: {size}\nSHA256: {digest}\n"


def _changelog(pending: Pending) -> str:
    """Unpack the newest changelog entry out of the first package that has one of its own."""
    for deb in pending.debs:
        path = f"./usr/share/doc/{deb.name}/changelog.Debian.gz"
        tree = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", deb.path], capture_output=True, check=True
        ).stdout
        found = subprocess.run(["tar", "-xO", path], input=tree, capture_output=True, check=False)
        if found.returncode == 0:
            return gzip.decompress(found.stdout).decode(errors="replace")
    raise LabError(f"no package of {pending.source} has a changelog")
