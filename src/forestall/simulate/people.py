"""The staff: they rate, test, distribute, exempt, halt, declare, approve, replay, and look after what was told them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from forestall.domain.action import Action
from forestall.domain.approval import Matter, Request, refusal
from forestall.domain.brakes import set_hash
from forestall.domain.campaign import Campaign, Kind, Phase, Step, resumed
from forestall.domain.device import DeviceId
from forestall.domain.events import Event, EventKind
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY, HOUR, MINUTE
from forestall.domain.remediation import RemediationId
from forestall.domain.ring import RINGS
from forestall.simulate import testers
from forestall.simulate.replay import replay
from forestall.simulate.scenario import Scenario
from forestall.simulate.server import Server
from forestall.simulate.timeline import Timeline
from forestall.simulate.world import World, begin

PATCH = CampaignId("patch")
PACK = CampaignId("service-pack")


@dataclass(slots=True)
class Staff:
    """Everybody who works with the server. While it is down they try again later."""

    timeline: Timeline
    world: World
    server: Server
    scenario: Scenario

    def begin(self, tested_after: timedelta) -> None:
        """Vulnerability and patch are public; the work begins (P1.3)."""
        timeline = self.timeline
        self._start(PATCH, Kind.PATCH, self.scenario.voluntary_period, timeline.now)
        if not self.scenario.rings:
            timeline.after(tested_after, self._step, PATCH, Step.DISTRIBUTE)
        if self.scenario.imminent_after is not None:
            timeline.after(tested_after + self.scenario.imminent_after, self._ask_imminent)
        if self.scenario.pack_after is not None:
            timeline.after(tested_after + self.scenario.pack_after, self._start_pack)
        for _ in range(max(1, len(self.world.machines) // 12)):
            timeline.after(timeline.seconds(86_400, 12 * 86_400), self._exempt, self._anybody())
        timeline.after(30 * MINUTE, self._round)

    @property
    def _can_work(self) -> bool:
        """The server runs and knows what it knew."""
        return self.server.up and not self.server.memory.unreplayed

    def _anybody(self) -> DeviceId:
        return self.timeline.random.choice(self.world.company.devices).id

    def _start(self, id: CampaignId, kind: Kind, period: timedelta, published_at: datetime) -> None:  # noqa: A002
        tables = self.server.memory.tables
        rated_at = published_at + self.timeline.seconds(3600, 6 * 3600)
        campaign = Campaign(
            id, 1, RemediationId(f"made-up/{id}/1"), kind, Level.CRITICAL, Phase.TESTING, period, 0.99,
            published_at, rated_at, rated_at + HOUR,
        )  # fmt: skip
        begin(self.world, id)
        tables.enlist(self.world.company.devices, id)
        if self.scenario.rings:
            campaign = replace(campaign, ring=RINGS[0], ring_opened_at=campaign.handed_over_at)
            testers.put_into_rings(self.server, id)
        self.server.change(campaign, Event(EventKind.CAMPAIGN_STARTED, "kim", id, id))

    def _step(self, id: CampaignId, step: Step) -> None:  # noqa: A002
        if not self._can_work:
            self.timeline.after(15 * MINUTE, self._step, id, step)
        elif self.server.step(id, step, "kim") and step is Step.DISTRIBUTE and id == PACK:
            self._step(PATCH, Step.ROLL_UP)

    def _start_pack(self) -> None:
        if not self._can_work:
            self.timeline.after(15 * MINUTE, self._start_pack)
            return
        self._start(PACK, Kind.SERVICE_PACK, self.scenario.pack_period, self.timeline.now)
        self.timeline.after(self.timeline.seconds(7 * 3600, 24 * 3600), self._step, PACK, Step.DISTRIBUTE)

    # -- two people -------------------------------------------------------------------------------------------

    def _agreed(self, matter: Matter, devices: Iterable[DeviceId] = (), count: int = 0) -> bool:
        """One person asks, another approves what both saw; alone it does not count (A9)."""
        now, policy = self.timeline.now, self.server.memory.policy
        seen = set_hash(devices)
        request = Request(matter, PATCH, "kim", now, now + HOUR, seen, count)
        if self.timeline.chance(0.3) and refusal(request, "Kim", seen, now, policy):
            self.server.history.sometimes["one person alone was refused"] += 1
        return not refusal(request, "noor", seen, now, policy)

    def _ask_imminent(self) -> None:
        """An exploit is there: Security declares an imminent threat (P8.1)."""
        if not self._can_work or not self._agreed(Matter.IMMINENT):
            self.timeline.after(10 * MINUTE, self._ask_imminent)
            return
        if self.server.memory.tables.campaigns[PATCH].halted_at is not None:
            self._resume(PATCH)
        self._step(PATCH, Step.IMMINENT)
        if self.timeline.chance(0.2):
            self._waive_mail()

    def _waive_mail(self) -> None:
        """Two people decide that removals need no accepted warning while the threat is imminent (A14)."""
        campaign = self.server.memory.tables.campaigns[PATCH]
        if self._agreed(Matter.WAIVE_MAIL):
            event = Event(EventKind.DEADLINE_MOVED, "noor", PATCH, PATCH, "no-mail", "A14")
            self.server.change(replace(campaign, mail_waived=True), event)

    # -- rounds -----------------------------------------------------------------------------------------------

    def _round(self) -> None:
        """Every half hour somebody looks at what waits for a person."""
        self.timeline.after(30 * MINUTE, self._round)
        if not self.server.up:
            return
        server, tables = self.server, self.server.memory.tables
        if server.memory.unreplayed:
            if self.timeline.chance(0.2):
                server.memory.write(
                    [Event(EventKind.REPLAYED, "kim", "database", paragraph="A12")], self.timeline.now
                )
                replay(server)
                server.history.sometimes["a restored backup was replayed"] += 1
            return
        for campaign in list(tables.campaigns.values()):
            if (
                campaign.open
                and campaign.halted_at is not None
                and self.timeline.chance(0.1 if self.world.stormy else 1)
            ):
                self._after_halt(campaign)
        self._raise_brake()

    def _after_halt(self, campaign: Campaign) -> None:
        """Somebody looks: a patch that breaks machines is withdrawn, everything else goes on."""
        if self.scenario.breaks and campaign.phase is Phase.TESTING:
            self._step(campaign.id, Step.WITHDRAW)
        else:
            self._resume(campaign.id)

    def _resume(self, id: CampaignId) -> None:  # noqa: A002
        tables = self.server.memory.tables
        self.server.change(
            resumed(tables.campaigns[id], self.timeline.now),
            Event(EventKind.RESUMED, "kim", id, id, paragraph="A7"),
        )
        self.server.history.sometimes["a halted campaign went on"] += 1

    def _raise_brake(self) -> None:
        """Removals that the caps have held for a while are looked at by two people (A8, A9)."""
        now, memory = self.timeline.now, self.server.memory
        waiting = [
            key
            for key, (held, since) in memory.held.items()
            if held.intent.action is Action.QUARANTINE
            and held.brake.startswith("removals")
            and now - since > 5 * MINUTE
        ]
        if not waiting or not self.timeline.chance(0.5):
            return
        id = waiting[0][0]  # noqa: A001
        count = sum(key[0] == id for key in waiting)
        if self._agreed(Matter.RAISE_BRAKE, [key[1] for key in waiting], count):
            tables = memory.tables
            tables.raised[id] = tables.raised.get(id, 0) + count
            self.world.raised[id] = self.world.raised.get(id, 0) + count
            event = Event(
                EventKind.APPROVED, "noor", id, id, paragraph="A9",
                body={"matter": Matter.RAISE_BRAKE, "count": count},
            )  # fmt: skip
            memory.write([event], now)
            self.server.history.sometimes["two people raised the brake"] += 1

    def _exempt(self, device: DeviceId) -> None:
        """A machine is exempted for a while (A1)."""
        if not self._can_work:
            self.timeline.after(HOUR, self._exempt, device)
            return
        now, tables = self.timeline.now, self.server.memory.tables
        until = now + DAY * self.timeline.random.uniform(2, 30)
        for (campaign, name), record in list(tables.records.items()):
            if name == device and campaign == PATCH:
                tables.records[campaign, name] = record._replace(exempt_until=until)
                self.world.exemptions[device, campaign] = until
                event = Event(
                    EventKind.EXEMPTED,
                    "noor",
                    device,
                    campaign,
                    paragraph="A1",
                    body={"until": until.isoformat()},
                )
                self.server.memory.write([event], now)
                self.server.memory.look((campaign, name), now)
        self.server.wake()
