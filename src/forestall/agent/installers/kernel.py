"""One kernel parameter, set now and at every start by a drop-in of sysctl.d(5); both come back."""

from pathlib import Path

from forestall.agent.installers.files import restore, target
from forestall.agent.installers.kept import Kept
from forestall.agent.installers.outcome import Outcome
from forestall.agent.installers.steps import Machine
from forestall.domain.evidence import Status
from forestall.domain.recipe import Answer, SetKernel
from forestall.durable import write_whole


def install(machine: Machine, kept: Kept, recipe: SetKernel) -> Outcome:
    """Write the drop-in, then set the value.

    Raises:
        AgentError: the place is not what may be trusted.
        OSError: the machine refuses: there is no such parameter, for instance.
    """
    drop_in, live = _drop_in(machine, recipe), _live(machine, recipe)
    value = live.read_text()  # before anything changes: a parameter that is not there is refused
    if _differs(drop_in, recipe):
        kept.begin()
        kept.keep(drop_in, value.strip())
        write_whole(drop_in, _line(recipe), 0o644)
    live.write_text(f"{recipe.value}\n")
    kept.end()
    return Outcome(True, f"set {recipe.key} to {recipe.value}")


def detect(machine: Machine, recipe: SetKernel) -> Answer:
    """Say whether it is set, now and for the next start.

    Raises:
        AgentError: the place is not what may be trusted.
        OSError: the parameter cannot be read.
    """
    now = _live(machine, recipe).read_text()
    if now.split() != recipe.value.split():
        return Answer(Status.AFFECTED, f"{recipe.key} is {now.strip()}, not {recipe.value}")
    if _differs(_drop_in(machine, recipe), recipe):
        return Answer(Status.AFFECTED, f"{recipe.key} is {recipe.value} only until the next start")
    return Answer(Status.FIXED, f"{recipe.key} is {recipe.value}")


def undo(machine: Machine, kept: Kept, recipe: SetKernel) -> Outcome:
    """Bring back the drop-in and the value from before, unless somebody has changed them since (A7).

    Raises:
        AgentError: the place is not what may be trusted, or what was kept cannot be read.
        OSError: the machine refuses.
    """
    drop_in, live, before = _drop_in(machine, recipe), _live(machine, recipe), kept.before()
    if before is None:
        return Outcome(False, f"nothing is kept of what {recipe.key} was")
    if _differs(drop_in, recipe) or live.read_text().split() != recipe.value.split():
        return Outcome(False, f"{recipe.key} was changed since; it is left as it is")
    live.write_text(f"{before.live}\n")
    restore(kept, drop_in)
    kept.forget()
    return Outcome(True, f"{recipe.key} is {before.live} again")


def _line(recipe: SetKernel) -> bytes:
    return f"# Set by Forestall.\n{recipe.key} = {recipe.value}\n".encode()


def _differs(drop_in: Path, recipe: SetKernel) -> bool:
    try:
        return drop_in.read_bytes() != _line(recipe)
    except FileNotFoundError:
        return True


def _drop_in(machine: Machine, recipe: SetKernel) -> Path:
    return target(machine, f"/etc/sysctl.d/zz-forestall-{recipe.key}.conf")


def _live(machine: Machine, recipe: SetKernel) -> Path:
    return machine.root.joinpath("proc/sys", *recipe.key.split("."))
