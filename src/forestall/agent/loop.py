"""One pass of the agent: gather, decide by the rule table, apply; what a person asks for goes the same way."""

from forestall.agent import hands, orders, person, restarting, services, state
from forestall.agent.contact import Contact
from forestall.agent.installers.outcome import Outcome
from forestall.agent.memory import Agent, Memory
from forestall.agent.state import Held, State
from forestall.domain.asking import Topic
from forestall.domain.evidence import Status
from forestall.domain.order import ACTIVE, Decision, Hold, Order, Standing, Step, next_step, requires_more

_OPEN = {Status.AFFECTED, Status.UNKNOWN}


def run_pass(agent: Agent, *, ask: bool = False) -> State:
    """Do all that is due now; `ask` checks in even where it is not yet time."""
    with state.alone(agent.directory):
        work = _Pass(agent, ask=ask)
        work.finish()
        return work.memory.state


def install_chosen(agent: Agent, campaign: str | None) -> list[tuple[Held, Outcome]]:
    """Install what the person picked: one campaign, or all that is offered (P5.2)."""
    with state.alone(agent.directory):
        work = _Pass(agent, ask=True)
        outcomes = [
            (held, hands.install(work.memory, held, chosen=True))
            for name in [held.order.campaign for held in work.offered(campaign)]
            for held in work.still_offered(name)
        ]
        work.finish()
        return outcomes


class _Pass:
    """One pass under the lock, begun: repaired, seen, the server asked where it is time."""

    def __init__(self, agent: Agent, *, ask: bool) -> None:
        self.memory = Memory(agent)
        self._contact = Contact(self.memory)
        if self.memory.state.installing:
            hands.repair(self.memory)
        self.memory.see()
        services.watch(self.memory)
        self._picked_now = person.hear(self.memory)
        self._held_by = agent.holds()
        if ask:
            self._contact.check_in()
        else:
            self._contact.check_in_if_due()

    def offered(self, campaign: str | None) -> list[Held]:
        """List the orders that a person may carry out now."""
        return [
            held
            for held in self.memory.state.held.values()
            if campaign in {None, held.order.campaign}
            and held.order.verb in ACTIVE
            and held.status in _OPEN
            and self.memory.now() < held.order.expires_at
        ]

    def still_offered(self, campaign: str) -> list[Held]:
        """List the one order, if it still stands: what went before may have taken long (A7)."""
        self._contact.ask_again()
        return self.offered(campaign)

    def finish(self) -> None:
        """Settle the orders, tell the server what changed, remember the pass."""
        self._settle()
        restarting.settle(self.memory, self._contact, self._holds(Topic.RESTART))
        self._contact.check_in_if_due()
        hands.silence(self.memory)
        hands.tidy(self.memory)
        self.memory.state.passed_at = self.memory.now()
        self.memory.save()

    def _settle(self) -> None:
        """Go through the orders until each one waits for something."""
        tried: set[tuple[str, Step]] = set()
        campaigns = list(self.memory.state.held)
        while campaigns:
            held = self.memory.state.held.get(campaigns[0])
            if held is None or not self._step(held, tried):
                campaigns.pop(0)

    def _step(self, held: Held, tried: set[tuple[str, Step]]) -> bool:
        """Take one step about one order; tell whether there may be another."""
        decision = self._decide(held)
        if (held.order.campaign, decision.step) in tried:
            return False
        tried.add((held.order.campaign, decision.step))
        match decision.step:
            case Step.OFFER:
                held.offered_at = self.memory.now()
            case Step.DOWNLOAD:
                hands.download(self.memory, held)
            case Step.CHECK_IN if not self._contact.unanswered:
                self._contact.check_in()
            case Step.INSTALL:
                hands.install(self.memory, held, chosen=True)
            case Step.FORCE:
                hands.install(self.memory, held, chosen=False)
            case _:
                return False
        return True

    def _decide(self, held: Held) -> Decision:
        now, limits = self.memory.now(), self.memory.agent.limits
        order = orders.order_of(held)
        decision = next_step(order, self._standing(held, order), now, limits)
        rule = decision.rule
        held.until, held.forcing = decision.until, decision.forcing
        held.held_by = sorted(self._holds(Topic.INSTALL)) if rule.name == "in-use" else []
        if held.rule != rule.name:
            held.step, held.rule, held.paragraph = rule.then, rule.name, rule.paragraph
            self.memory.note(rule.meaning, held)
        return decision

    def _standing(self, held: Held, order: Order) -> Standing:
        others = (orders.order_of(each) for each in self.memory.state.held.values())
        return Standing(
            status=Status(held.status),
            offered=held.offered_at is not None,
            downloaded=held.downloaded,
            checked_at=self.memory.state.checked_at,
            unanswered=self._contact.unanswered,
            returned_at=held.returned_at,
            failed_at=held.failed_at,
            picked_at=held.picked_at,
            holds=self._holds(Topic.INSTALL),
            required=requires_more(order, others),
        )

    def _holds(self, topic: Topic) -> frozenset[Hold]:
        """Tell what holds; who says *now* knows best whether it is a good moment."""
        return frozenset() if self._picked_now is topic else self._held_by
