"""Makes the agent that runs here into one archive, with the recipe that has it rolled out (docs/installers.md)."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from typing import NamedTuple

import msgspec

import forestall
from forestall.agent import archive
from forestall.agent.archive import About
from forestall.agent.slots import platform
from forestall.domain.errors import AgentError
from forestall.domain.remediation import RemediationId
from forestall.trust.payloads import payload_of
from forestall.trust.recipe import PayloadMessage, RecipeFile, UpdateAgentMessage

_PARTS = ("__init__.py", "agent", "clock.py", "domain", "durable.py", "protocol.py", "trust")
"""Of this package: what the agent imports."""
_NEEDS = ("cryptography", "jeepney", "jinja2", "msgspec", "securesystemslib", "tuf", "typer")
"""What it imports of others; what these need in turn is found."""
_MAIN = b"from forestall.agent.main import main\n\nmain()\n"
_TRY = """
import importlib, sys
slot, state, *names = sys.argv[1:]
sys.path.insert(0, slot)
for name in names:
    importlib.import_module(name)
sys.argv[1:] = ["status", "--state", state]
importlib.import_module("forestall.agent.main").main()
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LIMIT_SECONDS = 60


class Made(NamedTuple):
    """The two files."""

    archive: Path
    recipe: Path
    version: str


def make(folder: Path, now: datetime) -> Made:
    """Write the archive of the agent that is installed here and its recipe file into a folder.

    Raises:
        AgentError: what was made does not start.
        OSError: the files cannot be written.
    """
    about = About(version("forestall"), platform())
    place = folder / f"forestall-agent-{about.version}-{about.platform}.zip"
    archive.write(place, about, files_here(about.version))
    _started(place)
    payload = payload_of(place)
    recipe = RecipeFile(
        update=RemediationId(f"any/forestall-agent/{about.version}"),
        title=f"Forestall's agent {about.version}",
        published_at=now,
        recipe=UpdateAgentMessage(PayloadMessage(payload.sha256, payload.length), about.platform),
    )
    wanted = place.with_suffix(".recipe.json")
    wanted.write_bytes(msgspec.json.format(msgspec.json.encode(recipe)))
    return Made(place, wanted, about.version)


def files_here(number: str) -> dict[str, bytes]:
    """Read every file that the agent of this installation needs, named as it is in a slot."""
    ours = Path(forestall.__file__).parent
    places = [ours / part for part in _PARTS]
    found = {
        f"forestall/{path.relative_to(ours)}": path.read_bytes()
        for place in places
        for path in ([place] if place.is_file() else sorted(place.rglob("*")))
        if path.is_file() and "__pycache__" not in path.parts
    }
    for each in _needed():
        found |= _files_of(each)
    metadata = f"Metadata-Version: 2.1\nName: forestall\nVersion: {number}\n"
    return {**found, f"forestall-{number}.dist-info/METADATA": metadata.encode(), "__main__.py": _MAIN}


def _needed() -> Iterator[Distribution]:
    """Find the distributions, and what they need without extras, as far as it is installed."""
    todo, seen = [*_NEEDS], set[str]()
    while todo:
        name = todo.pop()
        try:
            found = distribution(name)
        except PackageNotFoundError:
            if name in _NEEDS:
                raise AgentError(f"{name} is not installed here, and the agent needs it") from None
            continue
        if found.name in seen:
            continue
        seen.add(found.name)
        yield found
        wanted = (each for each in found.requires or () if "extra" not in each.partition(";")[2])
        todo += [match[0] for each in wanted if (match := _NAME.match(each))]


def _files_of(found: Distribution) -> dict[str, bytes]:
    """Read a distribution's files, but for commands, sources of binary parts and what Python makes by itself."""
    return {
        str(file): Path(str(found.locate_file(file))).read_bytes()
        for file in found.files or ()
        if ".." not in file.parts
        and "__pycache__" not in file.parts
        and file.parts[0] != "bin"
        and not file.name.endswith((".pth", ".pyi"))
    }


def _started(place: Path) -> None:
    """Unpack it and have it import all that is its own, and run a command, from itself alone."""
    with tempfile.TemporaryDirectory() as folder:
        slot = Path(folder) / "slot"
        archive.unpack(place, slot)
        paths = (path.relative_to(slot).with_suffix("") for path in slot.glob("forestall/**/*.py"))
        names = sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)
        ran = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", _TRY, str(slot), folder, *names],
            capture_output=True, text=True, check=False, timeout=_LIMIT_SECONDS, env={},
        )  # fmt: skip
    if ran.returncode != 0:
        said = ran.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        raise AgentError(f"the agent that was made here does not start: {said[0][:300]}")
