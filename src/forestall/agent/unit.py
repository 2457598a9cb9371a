"""The command `forestall-agent unit`: the service of systemd that runs this very agent."""

import shutil
import sys
from pathlib import Path

import msgspec
import typer

from forestall.agent.options import Json
from forestall.domain.errors import AgentError

_COMMAND = "forestall-agent"
_TEMPLATE = Path(__file__).with_name("forestall-agent.service")


def unit(as_json: Json = False) -> None:
    """Write the unit file for systemd: `forestall-agent unit > /etc/systemd/system/forestall-agent.service`."""
    # An agent in a slot was started by the launcher, which is what the service is to start.
    name = sys.argv[0] if Path(sys.argv[0]).name == _COMMAND else _COMMAND
    found = shutil.which(name)
    if found is None:
        raise AgentError(f"cannot tell where {name} is: call it by its full path")
    text = unit_for(Path(found).absolute())
    typer.echo(msgspec.json.encode({"unit": text}).decode() if as_json else text, nl=as_json)


def unit_for(agent: Path) -> str:
    """Write the unit of an agent that is installed there."""
    return _TEMPLATE.read_text(encoding="utf-8").replace("{agent}", word(str(agent)))


def word(text: str) -> str:
    """Write one word of a command as systemd.service(5) reads it."""
    for special, written in {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"}.items():
        text = text.replace(special, written)
    return f'"{text}"'
