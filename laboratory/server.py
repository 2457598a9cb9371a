"""The real server in the management namespace, and the operators' real commands."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laboratory import host
from laboratory.site import COMMANDS, Site, knock, until

_PORT = 8080
_AGENTS = 8471


@dataclass(frozen=True, slots=True)
class Server:
    """A running Forestall server and its directory."""

    agents: str
    """Where agents reach it."""
    data: Path

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON the command prints
        """Run an operator's command and read what it prints."""
        environment = {"FORESTALL_DATA": str(self.data), "FORESTALL_USER": "laboratory"}
        return json.loads(host.run(COMMANDS / "forestall", *arguments, "--json", environment=environment))


def start_server(site: Site) -> Server:
    """Start the server with its embedded database, reachable from the switch only."""
    # The server takes stock of the host it runs on. This host is no machine of the company: in our own mount
    # namespace its package database is out of sight.
    host.run("mount", "-t", "tmpfs", "tmpfs", "/var/lib/dpkg")
    data = site.directory / "server"
    address = site.management.address
    command = (COMMANDS / "forestall", "up", "--every", "1", "--data", data)
    places = ("--bind", f"{address}:{_PORT}", "--agents", f"{address}:{_AGENTS}")
    process = site.start("server", *site.management.enter, *command, *places)

    def up() -> bool:
        if process.poll() is not None:
            said = (site.directory / "server.log").read_text(errors="replace")
            raise host.LabError(f"the server ended with {process.returncode}: {said[-1500:]}")
        return knock(site.management, address, _AGENTS)

    until("the server answers", up)
    return Server(f"https://{address}:{_AGENTS}", data)
