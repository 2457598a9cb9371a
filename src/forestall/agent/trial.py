"""What a new agent does to prove itself, after each pass of the service; the judgement is `domain.slot`'s."""

import signal
import socket

from forestall.agent import identity, journal, slots, state
from forestall.agent.client import server_at
from forestall.agent.journal import Entry
from forestall.agent.memory import Agent
from forestall.agent.state import State
from forestall.domain.errors import ForestallError
from forestall.domain.slot import TRIAL, Proof, ProofFacts, proof_of, proven, uncounted

_CONNECT_SECONDS = 5


def under_way(agent: Agent) -> bool:
    """Say whether this very agent is on trial."""
    return slots.load(agent.directory).trial == slots.running(agent.directory)


def after_pass(agent: Agent, passed: State | None) -> None:
    """Prove this agent, where it is on trial, or let its time run on.

    Raises:
        OSError: the proof cannot be written down; then it is none.
    """
    if not under_way(agent):
        return
    answered = passed is not None and passed.silent_checks == 0
    rule = proof_of(ProofFacts(passed is not None, answered, not answered and _reachable(agent)))
    match rule.then:
        case Proof.HURRY:
            if signal.getitimer(signal.ITIMER_REAL)[0] == 0:
                signal.setitimer(signal.ITIMER_REAL, TRIAL.total_seconds())
        case Proof.BEAR:
            signal.setitimer(signal.ITIMER_REAL, 0)
            slots.change(agent.directory, uncounted)
        case Proof.PROVEN:
            slots.change(agent.directory, proven)
            signal.setitimer(signal.ITIMER_REAL, 0)
            state.forget_kept(agent.directory)
            journal.append(
                agent.directory, Entry(agent.clock(), "this agent is in force", detail=rule.meaning)
            )


def _reachable(agent: Agent) -> bool:
    """Say whether anything accepts connections where the server is, whatever it speaks."""
    try:
        server = server_at(identity.load(agent.directory).server)
        socket.create_connection((server.host, server.port), _CONNECT_SECONDS).close()
    except (ForestallError, OSError):
        return False
    return True
