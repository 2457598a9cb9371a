"""The lock files are in step with pyproject.toml and with each other, and what they install does not clash."""

import re
import tomllib
from collections import defaultdict
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
WANTED = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "requirements-build.lock": PROJECT["build-system"]["requires"] + GROUPS["build"],
    "requirements-dev.lock": PROJECT["project"]["dependencies"]
    + GROUPS["build"]
    + [each for each in GROUPS["dev"] if isinstance(each, str)],
}
# Written in two parts, so that this file does not itself contain what it forbids.
HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("deb.debian", "org"),
        ("security.debian", "org"), ("ftp.debian", "org"), ("crates", "io"), ("proxy.golang", "org"), ("docker", "io"),
    ]
]  # fmt: skip
PUBLISHED_BY_OTHERS = ("data/", "src/forestall/feeds/bundle/", "tests/data/")


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", WANTED)
def test_every_dependency_is_locked_at_a_version_that_satisfies_it(lock):
    locked = pins(lock)
    wanted = [Requirement(each) for each in WANTED[lock]]
    assert [
        str(each) for each in wanted if locked.get(canonicalize_name(each.name), "") not in each.specifier
    ] == []


@pytest.mark.parametrize("lock", WANTED)
def test_every_locked_package_has_hashes(lock):
    text = (ROOT / lock).read_text()
    blocks = re.split(r"\n(?=[\w.-]+==)", text)
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_checks_run_with_the_versions_that_people_run(lock):
    assert pins(lock).items() - pins("requirements-dev.lock").items() == set()


def test_no_two_installed_packages_bring_the_same_file():
    """No resolver sees it: the package installed last wins, and the other one breaks."""
    owners = defaultdict(set)
    for distribution in distributions():
        for file in distribution.files or ():
            if "__pycache__" not in file.parts and file.parts[0] != "..":
                owners[str(distribution.locate_file(file))].add(distribution.name)
    assert owners, "no RECORD was found at all"
    assert {file: sorted(names) for file, names in owners.items() if len(names) > 1} == {}


def test_no_file_of_ours_names_the_host_of_a_package_registry():
    """Where packages come from is for each machine to say: a mirror, an offline folder."""
    wrong = [
        (str(path.relative_to(ROOT)), host)
        for path in tracked()
        if not str(path.relative_to(ROOT)).startswith(PUBLISHED_BY_OTHERS)
        for host in HOSTS
        if host.encode() in path.read_bytes()
    ]
    assert wrong == []


def tracked() -> list[Path]:
    """Files of the repository as they lie in the folder; git is not asked, so an unpacked archive is checked too."""
    top = [
        path for path in ROOT.iterdir() if path.name not in NOT_OURS and not path.name.startswith(".coverage")
    ]
    return [
        path for each in top for path in (each, *each.rglob("*")) if path.is_file() and path.suffix != ".pyc"
    ]


NOT_OURS = {
    ".git", ".venv", ".venv.lock", ".forestall", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache",
    ".import_linter_cache", "dist",
}  # fmt: skip
