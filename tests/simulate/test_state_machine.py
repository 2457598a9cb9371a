"""Hypothesis plays company against the same pure core: whatever comes in whatever order, the safe things hold."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.made import DAY, DEADLINE, ENFORCING, HOUR, MINUTE, POLICY, START, VOLUNTARY
from forestall.domain.action import Action
from forestall.domain.brakes import Load, brake
from forestall.domain.campaign import Campaign, Step, due, halted, resumed, take
from forestall.domain.case import case_of, moment_of
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.evidence import CLEAN, Evidence, Status, Witness
from forestall.domain.intent import Intent, propose
from forestall.domain.plan import still_wanted
from forestall.domain.record import Outcome, Receipt, Record, after_evidence, after_intent, after_receipt

SITE = SiteId("tokyo")
NAMES = [DeviceId(name) for name in ("managed", "unmanaged", "protected", "ownerless")]
names = st.sampled_from(NAMES)
waits = st.sampled_from([1, 2, 5, 10, 15, 60, 240, 1440, 4 * 1440]).map(lambda n: timedelta(minutes=n))
words = st.sampled_from([Witness.PROBE, Witness.VPN, Witness.AGENT])


class Company(RuleBasedStateMachine):
    """Four machines, one campaign; the truth is kept beside what the core is told."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.campaign: Campaign = VOLUNTARY
        self.records = {
            name: Record(
                name,
                SITE,
                managed=name == "managed",
                owned=name != "ownerless",
                protected=name == "protected",
            )
            for name in NAMES
        }
        self.truth = dict.fromkeys(NAMES, Status.AFFECTED)
        self.clean_since: dict[DeviceId, datetime] = {}
        self.shown_at: dict[DeviceId, datetime] = {}
        self.accepted_at: dict[DeviceId, datetime] = {}
        self.ordered: set[tuple[object, ...]] = set()
        self.closed: set[DeviceId] = set()
        self.mail = Outcome.DONE

    @initialize(late=st.booleans())
    def the_company_is_met(self, late: bool) -> None:
        """At the distribution, or when the deadline has passed and everybody knows."""
        if not late:
            return
        self.now, self.campaign = DEADLINE + HOUR, ENFORCING
        for name, record in self.records.items():
            told = record._replace(announced_at=START, offered_at=START if record.managed else None)
            self.records[name] = told._replace(heard_at=self.now if record.managed else None)

    # -- what happens out there

    @rule(wait=waits)
    def time_passes(self, wait: timedelta) -> None:
        self.now += wait
        step = due(self.campaign, self.now)
        if step is not None:
            self.campaign = take(self.campaign, step, self.now) or self.campaign

    @rule(name=names)
    def somebody_patches(self, name: DeviceId) -> None:
        if self.truth[name] not in CLEAN:
            self.truth[name], self.clean_since[name] = Status.FIXED, self.now

    @rule(name=names)
    def a_machine_is_set_up_anew(self, name: DeviceId) -> None:
        self.truth[name] = Status.AFFECTED
        self.clean_since.pop(name, None)

    @rule(name=names, witness=words, readable=st.booleans())
    def a_witness_looks(self, name: DeviceId, witness: Witness, readable: bool) -> None:
        status = self.truth[name] if readable else Status.UNKNOWN
        if status is Status.AFFECTED:
            self.shown_at[name] = self.now
        seen = after_evidence(self.records[name], Evidence(witness, status, self.now))
        self.records[name] = seen._replace(heard_at=self.now if witness is Witness.AGENT else seen.heard_at)

    @rule(name=names, days=st.integers(1, 30))
    def a_machine_is_exempted(self, name: DeviceId, days: int) -> None:
        self.records[name] = self.records[name]._replace(exempt_until=self.now + days * DAY)

    @rule(outcome=st.sampled_from([Outcome.DONE, Outcome.REFUSED, Outcome.FAILED]))
    def the_mail_server_changes(self, outcome: Outcome) -> None:
        self.mail = outcome

    @rule(name=names)
    def a_warning_comes_back(self, name: DeviceId) -> None:
        if self.accepted_at.pop(name, None) is not None:
            bounced = Receipt(Outcome.REFUSED, self.now, "bounced")
            self.records[name] = after_receipt(self.records[name], Action.WARN, bounced)

    # -- what people decide

    @rule()
    def somebody_halts_or_resumes(self) -> None:
        if self.campaign.halted_at is None:
            self.campaign = halted(self.campaign, "by hand", self.now)
        else:
            self.campaign = resumed(self.campaign, self.now)

    @precondition(lambda self: self.campaign.open)
    @rule(step=st.sampled_from([Step.IMMINENT, Step.IMMINENT, Step.WITHDRAW, Step.CLOSE]))
    def somebody_moves_the_campaign(self, step: Step) -> None:
        self.campaign = take(self.campaign, step, self.now) or self.campaign

    # -- what the server does

    @rule(ready=st.booleans())
    def the_server_takes_a_turn(self, ready: bool) -> None:
        load = Load(fleet=4, sites={SITE: 4}, protected=frozenset({DeviceId("protected")}))
        proposed = propose(self.records.values(), self.campaign, self.now, POLICY)
        observing = "" if ready else "restored-backup"
        for intent in brake(proposed, self.campaign, load, self.now, POLICY, observing=observing).permitted:
            key = (intent.campaign, intent.revision, intent.device, intent.action, intent.round)
            if key in self.ordered:
                continue
            self.ordered.add(key)
            record = self.records[intent.device]
            self.records[intent.device] = after_intent(record, intent.action, self.now)
            self.carry_out(intent)

    def carry_out(self, intent: Intent) -> None:
        case = case_of(self.records[intent.device], moment_of(self.campaign, self.now, POLICY))
        assert still_wanted(intent.action, case) is None, "nothing has changed since it was decided"
        outcome = Outcome.DONE
        match intent.action:
            case Action.INSTALL:
                self.may_be_forced(intent.device)
            case Action.WARN:
                outcome = self.warn(intent.device)
            case Action.QUARANTINE:
                self.may_be_removed(intent.device)
                self.closed.add(intent.device)
            case Action.RELEASE:
                self.closed.discard(intent.device)
                self.accepted_at.pop(intent.device, None)
        receipt = Receipt(outcome, self.now)
        self.records[intent.device] = after_receipt(self.records[intent.device], intent.action, receipt)

    def warn(self, name: DeviceId) -> Outcome:
        assert self.campaign.deadline_at is not None, "P6.3: after the deadline"
        assert self.campaign.deadline_at <= self.now
        if self.mail is Outcome.DONE:
            self.accepted_at[name] = self.now
        return self.mail

    # -- what must hold

    def may_be_forced(self, name: DeviceId) -> None:
        assert name == "managed", "P5.4: only where our agent is"
        assert self.campaign.deadline_at is not None, "P5.4"
        assert self.campaign.deadline_at <= self.now, "P5.4: not before the deadline"
        self.goes_on(name)

    def may_be_removed(self, name: DeviceId) -> None:
        assert name != "protected", "A8"
        assert name in self.accepted_at, "A14: no accepted warning, no removal"
        assert self.now - self.accepted_at[name] >= POLICY.recheck_after, "P6.4"
        assert self.now - self.shown_at[name] <= POLICY.removal_evidence_for, "A2: fresh proof"
        clean_since = self.clean_since.get(name)
        assert clean_since is None or self.now - clean_since <= 15 * MINUTE, "P6.4: fixed long ago"
        assert name not in self.closed, "A12: twice"
        self.goes_on(name)

    def goes_on(self, name: DeviceId) -> None:
        assert self.campaign.open, "A7"
        assert self.campaign.halted_at is None, "A7: a halted campaign starts nothing"
        until = self.records[name].exempt_until
        assert until is None or until <= self.now, "A1"

    @invariant()
    def the_record_knows_which_ports_are_closed(self) -> None:
        known = {name for name, record in self.records.items() if record.quarantined_at is not None}
        assert known == self.closed

    def teardown(self) -> None:
        """Nobody stays off the network for a campaign that is over (P7.2, A7)."""
        if self.campaign.open:
            self.campaign = replace(take(self.campaign, Step.CLOSE, self.now) or self.campaign)
        self.now += HOUR
        self.the_server_takes_a_turn(ready=True)
        assert self.closed == set()


Company.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_whatever_comes_in_whatever_order = Company.TestCase
