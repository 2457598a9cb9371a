"""What all processes of the made-up server share: its database, the decisions it runs on, the world it acts on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from forestall.domain.action import Action
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.intent import Intent
from forestall.simulate import agent, life
from forestall.simulate.core import Core
from forestall.simulate.history import History
from forestall.simulate.memory import IntentKey, Key, Memory
from forestall.simulate.timeline import Timeline
from forestall.simulate.world import World


@dataclass(slots=True)
class Shared:
    """Everything beside a process's own lease and life."""

    timeline: Timeline
    memory: Memory
    core: Core
    history: History
    world: World
    sites: Mapping[SiteId, int]
    """Machines at each site."""
    fleet: int
    protected: frozenset[DeviceId]
    grasp: Callable[[], None]
    """Called when a process has something in hand: now it can be stopped where it hurts."""
    held_time: dict[Key, timedelta] = field(default_factory=dict[Key, timedelta])
    """How long a brake held a removal that is on its way now."""

    def observing(self) -> str:
        """Say why only harmless things may happen; empty where everything may."""
        return self.core.observing(self.memory.tables.head, self.memory.outside.head)

    def held_for(self, key: IntentKey) -> timedelta:
        """Say how long the caps held a removal."""
        return self.held_time.pop((key.campaign, key.device), timedelta())

    def hand_on(self, intent: Intent) -> None:
        """Let staff and agents know of an intent that is theirs."""
        if intent.action is Action.HELP:
            life.call_help(self.world, intent.device)
        elif intent.action is Action.TELL:
            life.tell(self.world, intent.device, intent.campaign)
        elif intent.action is Action.INSTALL and intent.rule == "install-now":
            machine = self.world.machines[intent.device]
            if machine.speaks:
                self.timeline.after(self.timeline.seconds(2, 40), agent.wake, self.world, machine)
