"""A command of the company's own: fixed words, then `list`, `close` or `free`, machine, campaign, addresses.

`list` prints one line for everything it has closed: machine, campaign. Exit status 0 means done. It is started
without a shell, and only where nobody but its owner and root can change it.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from forestall.domain import address
from forestall.network.point import Answer, Marked, Plan, Reason, Refusal, Target
from forestall.network.program import run


@dataclass(frozen=True, slots=True)
class Words:
    """What follows the command's own words."""

    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The command as people read it."""
        return " ".join(self.words)


@dataclass(frozen=True, slots=True)
class HookSight:
    """What the command says is closed."""

    name: str
    listed: tuple[Marked, ...]
    closed_at_most: int
    ours: frozenset[str]

    @property
    def readable(self) -> bool:
        """The command lists what it closed."""
        return True

    @property
    def detail(self) -> str:
        """Count what it lists."""
        return f"{len(self.listed)} closed"

    def marks(self) -> tuple[Marked, ...]:
        """List what it closed."""
        return self.listed

    def close(self, target: Target, protected: AbstractSet[str]) -> tuple[Answer, ...]:
        """Plan to have it closed, or say why not."""
        known = (*address.macs(target.addresses), *address.ips(target.addresses))
        if target.protected or protected & set(known):
            return (Refusal(Reason.PROTECTED, self.name, f"{target.device} is never removed (A8)"),)
        if self.ours & set(known):
            return (Refusal(Reason.INFRASTRUCTURE, self.name, "that is Forestall or its gateway"),)
        if not known:
            return (Refusal(Reason.NO_ADDRESS, self.name, f"no address of {target.device} is known"),)
        if any(each.device == target.device and target.campaign in each.campaigns for each in self.listed):
            return (Plan(self.name, target.device, closes=True),)
        if len({each.device for each in self.listed} - {target.device}) >= self.closed_at_most:
            return (
                Refusal(Reason.CAP, self.name, f"{self.closed_at_most} machines are closed there already"),
            )
        words = Words(("close", target.device, target.campaign, *known))
        return (Plan(self.name, target.device, closes=True, steps=(words,)),)

    def release(self, target: Target) -> tuple[Plan, ...]:
        """Plan to have it freed for one campaign."""
        return tuple(
            self._freed(each)
            for each in self.listed
            if each.device == target.device and target.campaign in each.campaigns
        )

    def free(self, places: AbstractSet[str] | None = None) -> tuple[Plan, ...]:
        """Plan to have all freed, or some."""
        return tuple(self._freed(each) for each in self.listed if places is None or each.place in places)

    def shows(self, addresses: Iterable[str]) -> bool:  # noqa: ARG002 - it has no forwarding table
        """Where machines are is the command's own affair."""
        return False

    def _freed(self, each: Marked) -> Plan:
        return Plan(
            self.name, each.device, closes=False, steps=(Words(("free", each.device, *each.campaigns)),)
        )


@dataclass(frozen=True, slots=True)
class HookPoint:
    """One command."""

    name: str
    command: tuple[str, ...]
    sites: frozenset[str] = frozenset()
    closed_at_most: int = 50
    ours: frozenset[str] = frozenset()
    seconds: float = 10.0

    async def look(self, *, marks_only: bool = False) -> HookSight | Refusal:  # noqa: ARG002 - it lists marks only
        """Let it list what it closed."""
        ended = await run((*self.command, "list"), seconds=self.seconds)
        if ended.trouble:
            return Refusal(Reason.UNREACHABLE, self.name, ended.trouble)
        lines = [line.split() for line in ended.output.decode(errors="replace").splitlines() if line.strip()]
        if wrong := next((line for line in lines if len(line) != 2), None):
            return Refusal(
                Reason.UNREACHABLE, self.name, f"`list` printed “{' '.join(wrong)[:80]}”: MACHINE CAMPAIGN"
            )
        found = tuple(
            Marked(self.name, device, device, (campaign,), closed=True) for device, campaign in lines
        )
        return HookSight(self.name, found, self.closed_at_most, self.ours)

    async def send(self, plan: Plan) -> Refusal | None:
        """Run the command once a step, and let it list again: it must say what the plan promised."""
        for step in plan.steps:
            if not isinstance(step, Words):
                raise TypeError(f"no step for a hook: {step}")
            ended = await run((*self.command, *step.words), seconds=self.seconds)
            if ended.trouble:
                return Refusal(Reason.UNREACHABLE, self.name, ended.trouble)
            sight = await self.look()
            if isinstance(sight, Refusal):
                return sight
            device, campaign = step.words[1:3]
            there = any(each.device == device and campaign in each.campaigns for each in sight.listed)
            if there is not plan.closes:
                return Refusal(
                    Reason.NOT_AS_PROMISED, self.name, f"exit 0, but `list` says otherwise: {step.text}"
                )
        return None
