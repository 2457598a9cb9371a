"""May this machine come in now, and where to? The check at logon, VPN and network entry (P8.4, P8.5, A2, A5, A13)."""

from enum import StrEnum

from forestall.domain.case import Case
from forestall.domain.evidence import CLEAN, Status
from forestall.domain.plan import when
from forestall.domain.rule import Rule


class Entry(StrEnum):
    """Where a machine at the door may go."""

    ADMIT = "admit"
    HOLD = "hold"
    """Waits at the door until it has been checked."""
    UPGRADE = "upgrade"
    """Is upgraded first, then let in."""
    FIX_IT_ROOM = "fix_it_room"
    """Reaches only the page that says why, the patch, and the check."""


# fmt: off
DOOR: tuple[Rule[Entry], ...] = (
    Rule("come-in-fixed",      "P8.5", when(status=CLEAN),                                        Entry.ADMIT,       "nothing to do"),
    Rule("come-in-over",       "P7.2", when(closed=True),                                         Entry.ADMIT,       "the campaign is over"),
    Rule("come-in-withdrawn",  "A7",   when(withdrawn=True),                                      Entry.ADMIT,       "the patch was withdrawn"),
    Rule("come-in-exempt",     "A1",   when(exempt=True),                                         Entry.ADMIT,       "exempted, with a reason and an end"),
    Rule("come-in-protected",  "A8",   when(protected=True),                                      Entry.ADMIT,       "protected machines are never kept out"),
    Rule("still-off",          "A13",  when(quarantined=True),                                    Entry.FIX_IT_ROOM, "off the network, whichever way it comes in"),
    Rule("come-in-halted",     "A7",   when(halted=True),                                         Entry.ADMIT,       "the campaign is halted: nothing new starts"),
    Rule("hold-until-checked", "A2",   when(imminent=True, overdue=True, status=Status.UNKNOWN),  Entry.HOLD,        "imminent threat, and nothing fresh is known: checked first"),
    Rule("upgrade-first",      "P8.4", when(imminent=True, overdue=True, managed=True, lost=False), Entry.UPGRADE,   "imminent threat: upgraded before it goes on"),
    Rule("fix-first",          "P8.5", when(imminent=True, overdue=True),                         Entry.FIX_IT_ROOM, "imminent threat: fixed before it gets into the network"),
    Rule("come-in-counting",   "A5",   when(overdue=True, managed=True),                          Entry.ADMIT,       "let in; its countdown starts"),
    Rule("come-in",            "P6.1", when(),                                                    Entry.ADMIT,       "let in; the campaign goes on inside"),
)
# fmt: on


def admit(case: Case) -> Rule[Entry]:
    """Find the first row that applies."""
    return next(rule for rule in DOOR if rule.applies(case))
