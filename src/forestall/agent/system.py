"""What kind of system a root holds, and whose packages it therefore takes."""

import sys
from pathlib import Path

from forestall.agent.debian import Debian, debian_at
from forestall.agent.inventory.os_release import read_os_release
from forestall.agent.rpm import Rpm, rpm_at
from forestall.agent.windows import Windows, windows_at

System = Debian | Rpm | Windows
_OF_RPM = frozenset({"fedora", "rhel"})
"""What the kin of Red Hat call themselves or say they are like (os-release(5))."""


def system_at(root: Path, directory: Path) -> System:
    """Serve the running system (`/`), or another root; `directory` is the agent's own."""
    if sys.platform == "win32":
        return windows_at(root)
    said = read_os_release(root)
    words = {said.get("ID", ""), *said.get("ID_LIKE", "").split()}
    return rpm_at(root, directory) if words & _OF_RPM else debian_at(root)
