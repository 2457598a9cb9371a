"""The process as a table one can print: Case -> Rule -> Action. The first row that applies wins.

A row's name is the reason in the ledger, on the page, in the mail and in `forestall why`. A row's conditions are
data, not code: the table prints itself, and a test can prove what no combination of facts can ever do.
"""

from functools import lru_cache

from forestall.domain.action import Action
from forestall.domain.case import Case
from forestall.domain.evidence import CLEAN, Status
from forestall.domain.rule import Condition, Rule, conditions


def when(**facts: bool | frozenset[Status] | Status) -> dict[str, Condition]:
    """Write a row's conditions; a fact that `Case` does not have is a mistake found at import."""
    return conditions(Case._fields, facts)


_UNKNOWN = Status.UNKNOWN
_PENDING = Status.PENDING_RESTART
_OURS = {"managed": True, "lost": False}
"""Has our agent, and the agent obeys."""

UNHURRIED = frozenset({"sweep"})
"""Rows whose intents wait behind all others of their action: nobody was warned, nobody waits (P6.2)."""

# fmt: off
RULES: tuple[Rule[Action | None], ...] = (
    # Nothing stays off the network without a live reason.
    Rule("release-fixed",     "P6.5", when(quarantined=True, status=CLEAN),                            Action.RELEASE,    "a removed machine was seen fixed: let it back"),
    Rule("release-withdrawn", "A7",   when(quarantined=True, withdrawn=True),                          Action.RELEASE,    "the patch was withdrawn: let the machine back"),
    Rule("release-closed",    "P7.2", when(quarantined=True, closed=True),                             Action.RELEASE,    "the campaign is over: let the machine back"),
    Rule("release-exempt",    "A1",   when(quarantined=True, exempt=True),                             Action.RELEASE,    "the machine was exempted: let it back"),
    Rule("release-protected", "A8",   when(quarantined=True, protected=True),                          Action.RELEASE,    "a protected machine must not be off the network"),
    # Campaigns and machines that ask nothing more.
    Rule("recall",            "A7",   when(withdrawn=True, managed=True, offered=True, recalled=False), Action.RECALL,    "the patch was withdrawn: take the order back"),
    Rule("withdrawn",         "A7",   when(withdrawn=True),                                            None,              "the patch was withdrawn"),
    Rule("closed",            "P7.2", when(closed=True),                                               None,              "the campaign is over"),
    Rule("fixed",             "P7.1", when(status=CLEAN),                                              None,              "nothing to do; adoption is followed on"),
    Rule("exempt",            "A1",   when(exempt=True),                                               None,              "exempted, with a reason and an end"),
    Rule("disagree",          "A18",  when(conflict=True, reviewed=False),                             Action.REVIEW,     "agent and probe contradict each other: a person looks"),
    Rule("disagree-look",     "A18",  when(conflict=True, wished=True, looked=False),                  Action.LOOK,       "agent and probe contradict each other, and a person asks for a check now"),
    Rule("disagree-long",     "A18",  when(conflict=True, conflict_long=True, told=False),             Action.TELL,       "agent and probe contradict each other for too long: a person is told"),
    Rule("try",               "P4.1", when(**_OURS, distributed=False, trying=True, overdue=False, halted=False, offered=False), Action.OFFER, "its ring tests the patch: offered before everybody else"),
    Rule("testing",           "P4.2", when(distributed=False),                                         None,              "still being tested"),
    # Off the network, and still vulnerable.
    Rule("held-look",         "P6.5", when(quarantined=True, looked=False),                            Action.LOOK,       "off the network: is it fixed by now?"),
    Rule("held-unread",       "A2",   when(quarantined=True, status=_UNKNOWN, held_long=True, told=False), Action.TELL,   "off the network and unreadable for a day: a person looks"),
    Rule("held",              "P6.4", when(quarantined=True),                                          None,              "off the network until it is seen fixed"),
    Rule("halted",            "A7",   when(halted=True),                                               None,              "the campaign is halted: nothing new starts"),
    Rule("announce",          "P6.1", when(announced=False, owned=True, undo=False),                   Action.ANNOUNCE,   "tell everybody: what, where the patch is, until when"),
    Rule("help-desk",         "A4",   when(managed=True, lost=True, helped=False),                     Action.HELP,       "the agent is silent or keeps failing: help desk"),
    # Managed machines.
    Rule("restart",           "A6",   when(**_OURS, status=_PENDING, overdue=True, online=True, restarting=False), Action.RESTART, "installed but not effective: restart, with a countdown"),
    Rule("pending-restart",   "A6",   when(**_OURS, status=_PENDING),                                  None,              "installed, waiting for its restart"),
    Rule("install-now",       "P8.2", when(**_OURS, imminent=True, overdue=True, online=True, forced=False), Action.INSTALL, "imminent threat: upgraded at once"),
    Rule("come-back",         "A5",   when(**_OURS, overdue=True, imminent=False, online=True, expected=True, counted_down=False), Action.COUNT_DOWN, "it was away at the deadline: a short countdown first"),
    Rule("counting-down",     "A5",   when(**_OURS, overdue=True, imminent=False, counting_down=True), None,              "the countdown after its return is running"),
    Rule("force",             "P5.4", when(**_OURS, overdue=True, online=True, forced=False),          Action.INSTALL,    "the deadline has passed: installed by force"),
    Rule("forcing",           "P5.4", when(**_OURS, overdue=True, online=True),                        None,              "the forced install is under way"),
    Rule("expect-now",        "P8.4", when(**_OURS, imminent=True, overdue=True, expected=False),      Action.EXPECT,     "not connected: checked at its next logon, before it goes on"),
    Rule("expect",            "A5",   when(**_OURS, overdue=True, expected=False),                     Action.EXPECT,     "away at the deadline: awaited"),
    Rule("away",              "A11",  when(**_OURS, overdue=True),                                     None,              "away: its last valid order binds it, nothing else happens"),
    Rule("offer",             "P5.2", when(**_OURS, offered=False),                                    Action.OFFER,      "offered: the person picks the moment"),
    Rule("voluntary",         "P5.2", when(**_OURS),                                                   None,              "offered; free to choose until the deadline"),
    Rule("undo-only",         "A7",   when(undo=True),                                                 None,              "undone by its agent alone: nobody is warned, probed or removed"),
    # Unmanaged machines, and managed ones whose agent is lost.
    Rule("ask",               "A2",   when(status=_UNKNOWN, unreadable=True, owned=True, asked=False), Action.ASK,        "no probe can read it: its owner is asked to check"),
    Rule("sweep",             "P6.2", when(status=_UNKNOWN, looked=False),                             Action.LOOK,       "nothing fresh is known: probe it"),
    Rule("unknown",           "A2",   when(status=_UNKNOWN),                                           None,              "unknown is never a cause for removal"),
    Rule("wished",            "A13",  when(wished=True, looked=False, overdue=False),                  Action.LOOK,       "its owner asks for a check now"),
    Rule("free-to-choose",    "P6.1", when(overdue=False),                                             None,              "told; free to choose until the deadline"),
    Rule("protected-open",    "A8",   when(protected=True, told=False),                                Action.TELL,       "protected and still vulnerable: a person looks"),
    Rule("protected",         "A8",   when(protected=True),                                            None,              "protected machines are never removed"),
    Rule("warn-now",          "P8.3", when(imminent=True, owned=True, warning=False),                  Action.WARN,       "imminent threat: upgrade within 15 minutes or be disconnected"),
    Rule("warn",              "P6.3", when(owned=True, warning=False),                                 Action.WARN,       "still vulnerable after the deadline: the final warning"),
    Rule("no-mail",           "A14",  when(warned=False, refused=True, told=False),                    Action.TELL,       "the final warning could not be delivered: a person decides"),
    Rule("nobody-to-warn",    "A14",  when(owned=False, warned=False, told=False),                     Action.TELL,       "vulnerable and nobody to warn: a person decides"),
    Rule("unwarned",          "A14",  when(warned=False),                                              None,              "no accepted warning, no removal"),
    Rule("wished-warned",     "A13",  when(wished=True, looked=False, recheck_due=False),              Action.LOOK,       "warned, and its owner asks for a check now"),
    Rule("recheck-later",     "P6.4", when(recheck_due=False),                                         None,              "warned; the re-check is not due yet"),
    Rule("recheck",           "P6.4", when(rechecked=False, looked=False),                             Action.LOOK,       "warned: is it still vulnerable?"),
    Rule("unproven",          "A2",   when(rechecked=False),                                            None,              "no fresh proof since the warning: not removed"),
    Rule("quarantine",        "P6.4", when(),                                                          Action.QUARANTINE, "warned, checked again, still vulnerable: off the network"),
)
# fmt: on


@lru_cache(maxsize=65_536)
def decide(case: Case) -> Rule[Action | None]:
    """Find the first row that applies. A fleet has few distinct cases, so each is decided once."""
    return next(rule for rule in RULES if rule.applies(case))


_MARKS: dict[Action, dict[str, bool]] = {
    Action.RECALL: {"recalled": False},
    Action.REVIEW: {"reviewed": False},
    Action.TELL: {"told": False},
    Action.HELP: {"helped": False},
    Action.ANNOUNCE: {"announced": False},
    Action.OFFER: {"offered": False},
    Action.ASK: {"asked": False},
    Action.LOOK: {"looked": False},
    Action.INSTALL: {"forced": False},
    Action.RESTART: {"restarting": False},
    Action.EXPECT: {"expected": False},
    Action.COUNT_DOWN: {"counted_down": False, "counting_down": False},
    Action.WARN: {"warning": False},
}
"""What ordering an action leaves on the record."""


def still_wanted(action: Action, case: Case) -> Rule[Action | None] | None:
    """Guard an effect right before it happens: decide again as if the action had not been ordered yet.

    Returns the rule that wants something else now, None where the action still stands.
    """
    rule = decide(case._replace(**_MARKS.get(action, {})))  # type: ignore[arg-type]  # bool facts only
    return None if rule.then is action else rule
