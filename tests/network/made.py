"""A switch as a value, and what becomes of it when a plan is carried out: the simulated network of the tests."""

from dataclasses import dataclass, replace

from forestall.network.point import Answer, Plan, Reason, Refusal, Sight, Target
from forestall.network.switch import (
    IF_ADMIN,
    IF_ALIAS,
    PVID,
    UP,
    VLAN_EGRESS,
    VLAN_UNTAGGED,
    Member,
    Set,
    SwitchPort,
    SwitchRules,
    SwitchSight,
    SwitchView,
    Vanish,
    has_bit,
    with_bit,
)  # fmt: skip

US, GATEWAY, SWITCH = "02:00:00:00:00:0a", "02:00:00:00:00:01", "02:00:00:00:00:02"
VICTIM, OTHER, SERVER = "52:54:00:00:00:11", "52:54:00:00:00:22", "52:54:00:00:00:33"
RULES = SwitchRules("sw1", ours=frozenset({US, "10.0.0.10"}))
VLAN_RULES = replace(RULES, quarantine_vlan=99)
MACHINE = Target("m-1", "openssl-1", "tokyo", (VICTIM, "10.0.0.11"))


def port(index: int, **facts: object) -> SwitchPort:
    """A port of the bridge; base port numbers are not interface numbers."""
    return replace(
        SwitchPort(index, f"Gi1/{index}", base=index - 100, pvid=10, alias=f"desk {index}".encode()), **facts
    )


def bits(*indexes: int) -> bytes:
    """A PortList with the base ports of some interfaces."""
    found = bytes(6)
    for index in indexes:
        found = with_bit(found, index - 100, on=True)
    return found


ACCESS = (101, 102, 103, 104)
UPLINK, TRUNK = 147, 148
VIEW = SwitchView(
    ports={index: port(index) for index in ACCESS}
    | {UPLINK: port(UPLINK, alias=b""), TRUNK: port(TRUNK, alias=b"", tagged=frozenset({10, 20}))},
    seen={
        US: frozenset({UPLINK}),
        GATEWAY: frozenset({UPLINK}),
        VICTIM: frozenset({101}),
        OTHER: frozenset({102}),
    },
    entries={VICTIM: ("1.3.6.1.2.1.17.7.1.2.2.1.2.10.82.84.0.0.0.17",)},
    arp={"10.0.0.11": VICTIM, "10.0.0.33": SERVER},
    own=frozenset({SWITCH}),
    egress={10: bits(*ACCESS, UPLINK, TRUNK), 99: bits(UPLINK, TRUNK)},
    untagged={10: bits(*ACCESS, UPLINK), 99: bits()},
)


def changed(view: SwitchView, index: int, **facts: object) -> SwitchView:
    """The same switch with one port otherwise."""
    return replace(view, ports={**view.ports, index: replace(view.ports[index], **facts)})


def seen_at(view: SwitchView, mac: str, *indexes: int) -> SwitchView:
    """The same switch, having learned an address."""
    return replace(view, seen={**view.seen, mac: frozenset(indexes)})


def closing(
    view: SwitchView, rules: SwitchRules = RULES, target: Target = MACHINE, *protected: str
) -> tuple[Answer, ...]:
    return SwitchSight(view, rules).close(target, frozenset(protected))


def carried_out(view: SwitchView, *plans: Plan) -> SwitchView:
    """What the switch looks like afterwards, if it does as it is told."""
    for plan in plans:
        for step in plan.steps:
            view = _step(view, step)
    return view


def _step(view: SwitchView, step: object) -> SwitchView:
    match step:
        case Set(oid, value):
            table, _, number = oid.rpartition(".")
            return _set(view, table, int(number), value)
        case Member(oid, base, on):
            table, _, vlan = oid.rpartition(".")
            lists = {VLAN_EGRESS: view.egress, VLAN_UNTAGGED: view.untagged}[table]
            after = {**lists, int(vlan): with_bit(lists[int(vlan)], base, on=on)}
            view = replace(view, **{"egress" if table == VLAN_EGRESS else "untagged": after})
            for each, members in view.untagged.items():
                assert not any(
                    has_bit(members, n) and not has_bit(view.egress[each], n) for n in range(1, 49)
                )
            return view
        case Vanish(oid, base):
            here = [mac for mac, oids in view.entries.items() if oid in oids]
            assert all(view.ports[i].base != base for mac in here for i in view.seen.get(mac, ())), (
                "still there"
            )
            return view
    raise AssertionError(step)


def _set(view: SwitchView, table: str, number: int, value: int | bytes) -> SwitchView:
    match table:
        case t if t == IF_ALIAS:
            return changed(view, number, alias=value)
        case t if t == IF_ADMIN:
            view = changed(view, number, up=value == UP)
            flushed = {mac: at - {number} if value != UP else at for mac, at in view.seen.items()}
            return replace(view, seen={mac: at for mac, at in flushed.items() if at})
        case t if t == PVID:
            index = next(port.index for port in view.ports.values() if port.base == number)
            return changed(view, index, pvid=value)
    raise AssertionError(table)


def refusals(answers: tuple[Answer, ...]) -> list[str]:
    return [answer.reason.value for answer in answers if isinstance(answer, Refusal)]


def plans(answers: tuple[Answer, ...]) -> list[Plan]:
    return [answer for answer in answers if isinstance(answer, Plan)]


@dataclass
class Simulated:
    """An enforcement point whose switch is a value; `obeys` says what it does with what it is told."""

    view: SwitchView
    rules: SwitchRules = RULES
    obeys: bool = True
    silent: bool = False
    sites: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.rules.name

    async def look(self, *, marks_only: bool = False) -> Sight | Refusal:  # noqa: ARG002 - it is all one value
        return Refusal(Reason.UNREACHABLE, self.name) if self.silent else SwitchSight(self.view, self.rules)

    async def send(self, plan: Plan) -> Refusal | None:
        after = carried_out(self.view, plan)
        self.view = after if self.obeys else self.view
        return None if self.obeys else Refusal(Reason.NOT_AS_PROMISED, self.name)
