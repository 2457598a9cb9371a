"""All that the process ever does to a machine or its owner."""

from enum import StrEnum


class Action(StrEnum):
    """One thing done to one machine, or said to the person behind it."""

    RELEASE = "release"
    RECALL = "recall"
    REVIEW = "review"
    TELL = "tell"
    HELP = "help"
    ANNOUNCE = "announce"
    OFFER = "offer"
    ASK = "ask"
    LOOK = "look"
    INSTALL = "install"
    RESTART = "restart"
    EXPECT = "expect"
    COUNT_DOWN = "count_down"
    WARN = "warn"
    QUARANTINE = "quarantine"
