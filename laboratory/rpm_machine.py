"""A repository of signed rpm packages, and a Debian clone that is served as a machine with rpm and dnf."""

import random
from dataclasses import dataclass
from pathlib import Path

from forestall.agent.rpm import Rpm, rpm_at
from forestall.domain.version import Order, compare_keys, rpm_key
from laboratory.host import LabError
from laboratory.site import Machine

PACKAGES = ("rpm", "dnf", "createrepo-c", "gpg", "gpg-agent")
_REPOSITORY = Path("srv/repository")
_KEY = Path("srv/key.asc")
_HOME = "/srv/gpg"
_CUT = "[ -e /srv/armed ] && rm /srv/armed && kill -9 $PPID || true"
"""What a package's script does to its dnf, once."""
_SPEC = """
Name: {name}
Version: {version}
Release: 1
Summary: home-made
License: none
BuildArch: noarch
{fields}
%description
home-made
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {version} > %{{buildroot}}/usr/share/{name}/version
%files
/usr/share/{name}
{script}
"""


@dataclass(frozen=True, slots=True)
class RpmMachine:
    """The clone, and how the agent serves it."""

    machine: Machine
    rpm: Rpm

    def offer(
        self, name: str, version: str, fields: str = "", cut_in: str = "", *, signed: bool = True
    ) -> None:
        """Build a package and put it into the repository; `cut_in` names the script that kills its dnf, once armed."""
        root = self.machine.root
        script = f"%{cut_in}\n{_CUT}" if cut_in else ""
        spec = root / "srv/package.spec"
        spec.write_text(_SPEC.format(name=name, version=version, fields=fields, script=script))
        self._inside("rpmbuild", "-bb", "--quiet", "--define", f"_rpmdir /{_REPOSITORY}", "/srv/package.spec")
        if signed:
            package = f"/{_REPOSITORY}/noarch/{name}-{version}-1.noarch.rpm"
            options = ("--define", "_gpg_name laboratory", "--define", "__gpg /usr/bin/gpg")
            self._inside("rpmsign", *options, "--addsign", package)
        self._inside("createrepo_c", "--quiet", f"/{_REPOSITORY}")

    def have(self, *names: str) -> None:
        """Install packages as an administrator would."""
        self._inside("dnf", "--assumeyes", "--refresh", "install", *names)

    def automatic(self, conf: str) -> set[str]:
        """Ask dnf-automatic what it would bring, with this configuration."""
        self._inside("dnf", "--quiet", "makecache", "--refresh")  # as dnf-makecache.timer does
        program = "import sys; from dnf.automatic.main import main; sys.exit(main(sys.argv[1:]))"
        said = self._inside("/usr/bin/python3", "-c", program, f"/etc/dnf/{conf}")
        return {line.split()[0] for line in said.splitlines() if line.startswith(" ") and " noarch " in line}

    def arm(self) -> None:
        """Let the next script that may kill its dnf do so."""
        (self.machine.root / "srv/armed").touch()

    def installed(self) -> list[str]:
        """Ask rpm itself."""
        listed = self._inside("rpm", "-qa", "--qf", r"%{NAME}-%{VERSION}\n").split()
        return sorted(each for each in listed if not each.startswith("gpg-pubkey"))

    def compared(self, pairs: int) -> int:
        """Ask rpm for the order of random pairs and hold ours against it; returns how many were asked.

        Raises:
            LabError: one differs.
        """
        draw = random.Random()  # noqa: S311 - test cases; one that fails is in the message
        drawn = [(_version(draw), _version(draw)) for _ in range(pairs)]
        lua = "".join(f'print(rpm.vercmp("{first}", "{second}") .. " ")' for first, second in drawn)
        said = self._inside("rpm", "--eval", f"%{{lua:{lua}}}").split()
        order = {"-1": Order.LESS, "0": Order.EQUAL, "1": Order.GREATER}
        for (first, second), word in zip(drawn, said, strict=True):
            if compare_keys(rpm_key(first), rpm_key(second)) is not order[word]:
                raise LabError(f"rpm says {word} of {first} and {second}, we do not")
        return pairs

    def _inside(self, *command: str) -> str:
        environment = ("env", "HOME=/root", f"GNUPGHOME={_HOME}", "LC_ALL=C.UTF-8")
        return self.machine.inside(*environment, *command)


def make_rpm_machine(machine: Machine, directory: Path) -> RpmMachine:
    """Make a clone a machine with rpm; its dnf knows one repository and one key."""
    root = machine.root
    (root / _REPOSITORY).mkdir(parents=True)
    (root / "srv/gpg").mkdir(mode=0o700)
    made = RpmMachine(machine, rpm_at(root, directory))
    gpg = ("env", f"GNUPGHOME={_HOME}", "gpg", "--batch", "--quiet")
    machine.inside(*gpg, "--passphrase", "", "--quick-generate-key", "laboratory", "ed25519", "sign", "1d")
    machine.inside(*gpg, "--armor", "--output", f"/{_KEY}", "--export")
    (root / "etc/yum.repos.d").mkdir(parents=True, exist_ok=True)
    (root / "etc/yum.repos.d/laboratory.repo").write_text(
        f"[laboratory]\nname=laboratory\nbaseurl=file:///{_REPOSITORY}\ngpgcheck=0\ngpgkey=file:///{_KEY}\n"
    )
    (root / "etc/dnf").mkdir(exist_ok=True)
    (root / "etc/dnf/vars").mkdir(exist_ok=True)
    (root / "etc/dnf/vars/releasever").write_text("9\n")
    made.offer("base", "1", "Provides: /bin/sh")
    return made


def _version(draw: random.Random) -> str:
    def word(most: int) -> str:
        return "".join(draw.choice("00125aabzAZ..~^_+") for _ in range(draw.randint(1, most)))

    return f"{draw.choice(['', '0:', '1:'])}{word(9)}-{word(4)}"
