"""`forestall rules`: the process as the program takes it."""

from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Annotated

import typer

from forestall.cli.output import Json, print_json, print_line, print_table
from forestall.domain.printout import Line

_RULE = ("rule", "paragraph", "when", "then", "meaning")


def rules(
    policy: Annotated[
        Path | None, typer.Option(help="Read the numbers from this policy file; else the defaults.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the rules in order, the first that applies decides; doors, tests, agents, phases, numbers."""
    from forestall.domain import printout
    from forestall.domain.policy import Policy
    from forestall.server.policy_file import load_policy

    listed = printout.numbers(load_policy(policy) if policy else Policy())
    rules, door, phases = printout.rule_lines(), printout.door_lines(), printout.moves()
    verdicts, gates = printout.verdict_lines(), printout.gate_lines()
    agent, restart, slot = printout.agent_lines(), printout.restart_lines(), printout.slot_lines()
    kept = printout.kept_services()
    if json:
        tables = {"rules": rules, "door": door, "verdicts": verdicts, "rings": gates}
        agents = {"agent": agent, "restart": restart, "kept_services": kept, "slot": slot}
        print_json({**tables, **agents, "phases": phases, "numbers": listed})
        return
    _show("Every machine, every minute: the first rule that applies decides.", _RULE, _cells(rules))
    _show("A machine at the door (logon, VPN):", _RULE, _cells(door))
    _show("A machine that tests a patch:", _RULE, _cells(verdicts))
    _show("The rings: does the next one get it?", _RULE, _cells(gates))
    _show("An agent about each of its orders:", _RULE, _cells(agent))
    _show("An agent about the one restart for all that is due:", _RULE, _cells(restart))
    kept_heading = "Services that it does not start anew, besides jobs and what must not be stopped by hand:"
    _show(kept_heading, ("services", "since", "unless"), map(astuple, kept))
    _show("A new agent: what its launcher starts, then what a pass of it proves:", _RULE, _cells(slot))
    steps = ("in phase", "step", "leads to", "paragraph")
    _show("A campaign's phases; a step that is not here is refused:", steps, map(astuple, phases))
    _show("The numbers:", ("number", "paragraph", "value", "meaning"), map(astuple, listed))


def _show(heading: str, columns: tuple[str, ...], rows: Iterable[tuple[str | None, ...]]) -> None:
    print_line(heading)
    print_table(columns, rows, empty="")
    print_line("")


def _cells(lines: list[Line]) -> list[tuple[str | None, ...]]:
    return [(line.name, line.paragraph, line.when, line.then or None, line.meaning) for line in lines]
