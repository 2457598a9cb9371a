"""What the agent asks of an installer, whatever the product of an order."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from forestall.agent.installers.outcome import Outcome
from forestall.agent.sight import Sight
from forestall.domain.evidence import Status
from forestall.domain.order import Order
from forestall.domain.product import ProductName


class Installer(Protocol):
    """The one way in which updates of a product get onto this machine."""

    def status(self, order: Order, sight: Sight) -> tuple[Status, str]:
        """Tell how the machine stands on an order, and why."""
        ...

    def download(self, order: Order, sight: Sight) -> Outcome:
        """Fetch what an order needs, and change nothing (P5.3)."""
        ...

    def install(self, order: Order, sight: Sight, transcript: Path) -> Outcome:
        """Do what the order says; its word is not believed, `status` is."""
        ...

    def repair(self, transcript: Path) -> Outcome:
        """Finish what was cut off (R23)."""
        ...


Installers = Mapping[ProductName, Installer]
"""By the products that this machine can take in."""
