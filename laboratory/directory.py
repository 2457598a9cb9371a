"""A company's LDAP directory: Debian's slapd with 55,000 people, read over verified TLS, in pages.

What must not count: a server that cannot prove who it is, that is gone, that lost half its people, or that sends us on
to another one.
"""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forestall.clock import stopwatch
from forestall.notify.people import read_people
from laboratory import host
from laboratory.break_glass import expect
from laboratory.host import LabError
from laboratory.site import COMMANDS, until
from laboratory.timeline import Timeline

PEOPLE, GROUP = 55_000, 40
_SUFFIX = "dc=corp,dc=example"
_STAFF = r"cn=staff (A*)\2C x,dc=corp,dc=example"
"""A group whose name means something in a filter."""
_WORD = "a-password-for-the-laboratory"
_SLAPD = "/usr/sbin/slapd"
_LIBRARY = ("ldap", "ldapurl.py", "ldif.py", "_ldap*.so", "pyasn1_modules")
_CONFIGURATION = f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile PLACE/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
TLSCertificateFile PLACE/server.pem
TLSCertificateKeyFile PLACE/server.key
database mdb
maxsize 1073741824
suffix "{_SUFFIX}"
rootdn "cn=forestall,{_SUFFIX}"
rootpw {_WORD}
directory PLACE/DATA
overlay memberof
"""


class Slapd:
    """One directory server on loopback."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = _free_port()
        self._running: subprocess.Popen[bytes] | None = None

    def fill(self, people: int, elsewhere: int) -> None:
        """Make its data anew: people, a group, and a referral to another server."""
        data = self.directory / f"data-{people}"
        data.mkdir()
        config = _CONFIGURATION.replace("PLACE", str(self.directory)).replace("DATA", data.name)
        (self.directory / "slapd.conf").write_text(config)
        ldif = self.directory / "people.ldif"
        ldif.write_text("\n".join(_entries(people, elsewhere)), encoding="utf-8")
        host.run("/usr/sbin/slapadd", "-q", "-f", self.directory / "slapd.conf", "-l", ldif)

    def start(self) -> None:
        """Start it and wait until it listens."""
        config, url = self.directory / "slapd.conf", f"ldaps://127.0.0.1:{self.port}"
        self._running = host.start(self.directory / "slapd.log", _SLAPD, "-d", "0", "-f", config, "-h", url)
        until("slapd listens", lambda: _listens(self.port), 60)

    def stop(self) -> None:
        """Stop it."""
        if self._running is not None:
            self._running.terminate()
            self._running.wait()
            self._running = None


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Read everybody, then let everything go wrong; the last good copy stays in force."""
    host.install(("slapd", "python3-ldap"), _SLAPD)
    library = _library(directory)
    other = socket.create_server(("127.0.0.1", 0))
    other.setblocking(False)
    slapd = Slapd(directory)
    _certificate(directory, "server")
    _certificate(directory, "stranger")
    slapd.fill(PEOPLE, other.getsockname()[1])
    slapd.start()
    timeline.tell(f"slapd has {PEOPLE} people and a referral to another server")
    try:
        _tell(directory, timeline, slapd, library, other)
    finally:
        slapd.stop()
        other.close()


def _tell(directory: Path, timeline: Timeline, slapd: Slapd, library: Path, other: socket.socket) -> None:
    copy = directory / "people.last-good.csv"

    def pull(*more: str, ca: str = "server", group: str = "", word: str = _WORD) -> dict[str, Any]:
        _settings(directory, slapd.port, ca, group, word)
        return _pull(directory, library, *more)

    began = stopwatch()
    read = pull()
    seconds = round(stopwatch() - began, 1)
    timeline.figures["seconds to read 55,000 people"] = seconds
    expect("people", (read["people"], read["refused"], read["trouble"]), (PEOPLE, 1, ""))
    found = read_people(copy)
    last = PEOPLE - 1
    expect("the last of them", found.people[f"p{last}@corp.example"].name, f"Ōta {last} <script>")
    expect("languages", sum(each.language == "ja" for each in found.people.values()), PEOPLE // 2)
    expect("an account", found.accounts[f"u{last}"].address, f"p{last}@corp.example")
    expect("a machine", found.accounts["52:54:00:00:00:07"].address, "p7@corp.example")
    expect("mode of the copy", oct(copy.stat().st_mode & 0o777), "0o600")
    timeline.tell(f"{PEOPLE} people read in {seconds} s, the start of the command and its database included")
    good = copy.read_bytes()
    try:
        other.accept()
    except BlockingIOError:
        timeline.tell("the referral was not followed")
    else:
        raise LabError("the referral was followed")
    for what, trouble in (
        ("a server with another certificate", pull(ca="stranger")["trouble"]),
        ("a wrong password", pull(word="wrong")["trouble"]),
    ):
        expect(what, bool(trouble) and copy.read_bytes() == good, True)
        timeline.tell(f"{what}: {trouble}")
    slapd.stop()
    trouble = pull()["trouble"]
    expect("no server", bool(trouble) and copy.read_bytes() == good, True)
    timeline.tell(f"no server: {trouble}")
    slapd.fill(PEOPLE // 5, other.getsockname()[1])
    slapd.start()
    trouble = pull()["trouble"]
    expect("a directory that shrank", f"{PEOPLE // 5} people" in trouble and copy.read_bytes() == good, True)
    timeline.tell(f"a directory that shrank: {trouble}")
    expect("accepted by a person", pull("--accept")["people"], PEOPLE // 5)
    expect("one group, its name taken as it is", pull("--accept", group=_STAFF)["people"], GROUP)
    timeline.tell(f"a person believed it; a group named “{_STAFF}” has its {GROUP} members and no others")


def _entries(people: int, elsewhere: int) -> Iterator[str]:
    yield f"dn: {_SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: corp\ndc: corp\n"
    yield f"dn: ou=people,{_SUFFIX}\nobjectClass: organizationalUnit\nou: people\n"
    for n in range(people):
        member = f"memberOf: {_STAFF}\n" if n < GROUP else ""
        yield (
            f"dn: uid=u{n},ou=people,{_SUFFIX}\nobjectClass: inetOrgPerson\nuid: u{n}\nsn: {n}\ncn: {n}\n"
            f"mail: P{n}@corp.example\ndisplayName: Ōta {n} <script>\n"
            f"preferredLanguage: {'ja-JP' if n % 2 else 'de'}\n"
            f"carLicense: {f'52:54:00:00:00:{n:02x}' if n < 256 else f'pc-{n}'}\n{member}"
        )
    yield f"dn: uid=none,ou=people,{_SUFFIX}\nobjectClass: inetOrgPerson\nuid: none\nsn: n\ncn: n\nmail: none of ours\n"
    members = "".join(f"member: uid=u{n},ou=people,{_SUFFIX}\n" for n in range(GROUP))
    yield f"dn: {_STAFF}\nobjectClass: groupOfNames\n{members}"
    yield (
        f"dn: ou=elsewhere,ou=people,{_SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n"
        f"ref: ldap://127.0.0.1:{elsewhere}/{_SUFFIX}\n"
    )


def _settings(directory: Path, port: int, ca: str, group: str, word: str) -> None:
    password = directory / "directory.password"
    password.touch(mode=0o600)
    password.write_text(f"{word}\n")
    lines = {
        "url": f"ldaps://127.0.0.1:{port}",
        "base": f"ou=people,{_SUFFIX}",
        "bind": f"cn=forestall,{_SUFFIX}",
        "password_file": password.name,
        "ca_file": f"{ca}.pem",
        "group": group,
        "machines": "carLicense",
    }
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    (directory / "forestall.toml").write_text(f"[directory]\n{text}")


def _pull(directory: Path, library: Path, *more: str) -> dict[str, Any]:
    command = (COMMANDS / "forestall", "directory", "pull", "--json", "--data", directory, *more)
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(library)},
    )
    if not done.stdout:
        raise LabError(f"forestall directory pull: {done.stderr.decode(errors='replace')[-500:]}")
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def _library(directory: Path) -> Path:
    """Lend Debian's python-ldap to our Python, and nothing else of Debian's."""
    place = directory / "library"
    place.mkdir()
    debian = Path("/usr/lib/python3/dist-packages")
    for pattern in _LIBRARY:
        for path in debian.glob(pattern):
            (place / path.name).symlink_to(path)
    return place


def _certificate(directory: Path, name: str) -> None:
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    host.run(
        "openssl", *words.split(), "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.pem"
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
