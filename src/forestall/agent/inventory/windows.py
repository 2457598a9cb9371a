"""The one package of a Windows machine: Windows with its build; of single KBs only its update agent can tell."""

from forestall.agent.windows import Windows
from forestall.domain.inventory import Inventory, Package, PackageState

_NAME = "windows"


def take(windows: Windows) -> Inventory:
    """Read what runs."""
    release, build, architecture = windows.running()
    return Inventory(
        release, (Package(_NAME, build, architecture, PackageState.INSTALLED, _NAME, build),) if build else ()
    )


def build_of(inventory: Inventory) -> str:
    """Find the build again; empty where it could not be read."""
    return next((each.version for each in inventory.packages if each.name == _NAME), "")
