"""How the made-up company lives: machines come and go, knock at the door, get mail; people and help desk react."""

from datetime import timedelta

from forestall.domain.action import Action
from forestall.domain.admission import Entry
from forestall.domain.device import DeviceId
from forestall.domain.evidence import Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY, HOUR, MINUTE
from forestall.simulate import agent
from forestall.simulate.company import Temper
from forestall.simulate.faults import within
from forestall.simulate.history import Kind
from forestall.simulate.machine import Machine
from forestall.simulate.memory import IntentKey, Lease
from forestall.simulate.world import World


def populate(world: World) -> None:
    """Let every machine begin its life."""
    timeline, faults = world.timeline, world.faults
    for member in world.company.members:
        machine = world.machines[member.device.id] = Machine(member)
        if machine.habit.portable:
            machine.on = machine.connected = False
            timeline.after(timeline.seconds(0, 3600), switch_on, world, machine)
        else:
            timeline.after(timeline.seconds(0, 4 * 3600), agent.wake, world, machine)
        if timeline.chance(faults.agents_die):
            length = (faults.calm_at - world.now).total_seconds()
            timeline.after(timeline.seconds(0, length), _agent_dies, world, machine)


# -- being on, being there -------------------------------------------------------------------------------------


def switch_on(world: World, machine: Machine) -> None:
    """A portable machine is opened: in the office, or far away without the network."""
    if machine.dead or (machine.on and machine.connected):
        return
    begins_at = min((c.published_at for c in world.campaigns.values()), default=world.now)
    since = world.now - begins_at
    back = next((until for begins, until in machine.habit.away if begins <= since < until), None)
    machine.on = True
    if back is not None and world.stormy:
        # Half of those who are away work on without the network.
        machine.on = int(machine.id[1:]) % 2 == 0
        agent.wake(world, machine)
        world.timeline.after(back - since, switch_on, world, machine)
        return
    knock(world, machine)
    if world.stormy:
        hours = world.timeline.seconds(7 * 3600, 10 * 3600)
        world.timeline.after(hours, _switch_off, world, machine)


def _switch_off(world: World, machine: Machine) -> None:
    if not world.stormy:
        return
    machine.on = machine.connected = False
    tomorrow = DAY - timedelta(hours=world.now.hour, minutes=world.now.minute) + 8 * HOUR
    weekend = {4: 2 * DAY, 5: DAY}.get(world.now.weekday(), timedelta())
    world.timeline.after(tomorrow + weekend + world.timeline.seconds(0, 5400), switch_on, world, machine)


def knock(world: World, machine: Machine) -> None:
    """A machine comes to the door: logon, VPN or network entry (P8.4, P8.5)."""
    for campaign in world.campaigns.values():
        threatens = campaign.open and campaign.imminent_at and campaign.id in machine.truths
        if threatens and not _let_in(world, machine, campaign.id):
            return
    machine.connected = True
    agent.wake(world, machine)


def _let_in(world: World, machine: Machine, campaign: CampaignId) -> bool:
    """Do what the door says about one campaign; false where the machine has to wait outside."""
    entry, sometimes = _entry(world, machine, campaign), world.history.sometimes
    if entry is Entry.UPGRADE and machine.agent_alive:
        sometimes["upgraded at the door"] += 1
        if machine.truths[campaign].status is Status.PENDING_RESTART:
            agent.restart(world, machine)
        else:
            agent.install(world, machine, campaign, forced=True)
    elif entry in {Entry.FIX_IT_ROOM, Entry.HOLD} and world.stormy:
        sometimes["kept in the fix-it room at the door"] += 1
        machine.connected = False
        agent.plan(world, machine, campaign, machine.habit.answers_after)
        world.timeline.after(machine.habit.answers_after + 2 * HOUR, knock, world, machine)
        return False
    return True


def _entry(world: World, machine: Machine, campaign: CampaignId) -> Entry | None:
    entry = world.office.admit(machine.id, campaign)
    if entry is Entry.HOLD:
        world.history.sometimes["held at the door until checked"] += 1
        world.show(machine, campaign, Witness.LOGON, machine.truths[campaign].status)
        entry = world.office.admit(machine.id, campaign)
    return entry


def _agent_dies(world: World, machine: Machine) -> None:
    machine.agent_alive = False
    if machine.device.managed:
        _sighted(world, machine)


def _sighted(world: World, machine: Machine) -> None:
    """The network sees a machine whose agent is silent (A4)."""
    if machine.on and machine.connected:
        world.office.saw(machine.id)
    if not machine.agent_alive:
        world.timeline.after(8 * HOUR, _sighted, world, machine)


# -- what reaches people ---------------------------------------------------------------------------------------


def post(world: World, key: IntentKey, lease: Lease) -> bool | None:
    """Hand a mail to the mail server: accepted, refused, or nobody there (None)."""
    timeline, faults = world.timeline, world.faults
    if within(faults.mail_down, world.now):
        return None
    machine = world.machines[key.device]
    if world.stormy and timeline.chance(faults.bounced / 4):
        return False
    if key.action is Action.WARN:
        truth = machine.truths[key.campaign]
        world.note(machine, Kind.WARNED, key.campaign, key, lease, again=truth.warned_at is not None)
        truth.warned_at = world.now
        if world.stormy and timeline.chance(faults.bounced):
            timeline.after(timeline.seconds(30, 2400), _bounce, world, key)
    _read(world, machine, key.campaign, key.action)
    return True


def _bounce(world: World, key: IntentKey) -> None:
    if world.office.bounced(key):
        world.machines[key.device].truths[key.campaign].warned_at = None
        world.history.sometimes["a final warning bounced"] += 1
    else:
        world.timeline.after(5 * MINUTE, _bounce, world, key)


def _read(world: World, machine: Machine, campaign: CampaignId, action: Action) -> None:
    habit = machine.habit
    if action is Action.ASK:
        world.timeline.after(
            world.timeline.seconds(600, 90_000), agent.check_myself, world, machine, campaign
        )
    elif action is Action.WARN and habit.temper is not Temper.IGNORES:
        agent.plan(world, machine, campaign, min(habit.answers_after, 40 * MINUTE))
    elif action is Action.ANNOUNCE and not machine.device.managed:
        agent.pick_moment(world, machine, campaign)


def cut_off(world: World, device: DeviceId, campaign: CampaignId) -> None:
    """Somebody notices that the machine is off the network, and mends it."""
    machine = world.machines[device]
    if machine.habit.temper is not Temper.RESPONDS or machine.device.managed:
        agent.plan(world, machine, campaign, machine.habit.answers_after)


def tell(world: World, device: DeviceId, campaign: CampaignId) -> None:
    """A person was told of a case and has it patched by hand within days."""
    agent.plan(world, world.machines[device], campaign, world.timeline.seconds(8 * 3600, 72 * 3600))


def call_help(world: World, device: DeviceId) -> None:
    """The help desk will repair an agent."""
    wait = world.timeline.seconds(12 * 3600, 48 * 3600)
    world.timeline.after(wait, _repair, world, world.machines[device])


def _repair(world: World, machine: Machine) -> None:
    machine.agent_alive = machine.repaired = True
    agent.wake(world, machine)
