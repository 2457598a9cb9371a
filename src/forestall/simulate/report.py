"""What a simulated run comes to, in the numbers of P10, and its curve as a picture."""

from dataclasses import dataclass
from datetime import timedelta

from forestall.domain.metrics import Standing, days, times
from forestall.domain.policy import HOUR
from forestall.simulate.history import Kind
from forestall.simulate.invariants import Violation, violations
from forestall.simulate.people import PATCH
from forestall.simulate.run import Run
from forestall.web.curve import curve
from forestall.web.texts import texts

_STYLE = """<style>
svg { background: #fff; font: 11px sans-serif; fill: #333 }
.grid { stroke: #ddd } .fact { fill: none; stroke: #0b5cad; stroke-width: 2 }
line.goal { stroke: #2a7d2e; stroke-dasharray: 4 3 } text.goal { fill: #2a7d2e }
line.deadline { stroke: #b3261e } text.deadline { fill: #b3261e }
</style>"""


@dataclass(frozen=True, slots=True)
class Report:
    """How the first campaign of a run went (P10.1, P10.2)."""

    scenario: str
    devices: int
    days: float
    seed: int
    violations: tuple[Violation, ...]
    hours_to_rate: float
    hours_to_distribute: float | None
    """From hand-over to distribution (P4.4)."""
    days_to_99: float | None
    """From distribution until 99 % were surely fixed, to within the four hours between two measurements."""
    standing: Standing
    """As the server knows it at the end."""
    vulnerable: int
    """As it truly is at the end."""
    forced: int
    """Forced installs that began."""
    removed: int
    """Ports that were closed."""
    removed_in_time: int
    """Of those, within the removal period after the warning; time held by a brake is not counted (P6.4)."""
    let_back: int
    warned: int
    sometimes: dict[str, int]
    trace_hash: str


def report(run: Run) -> Report:
    """Judge and measure a run that was watched."""
    campaign = run.world.campaigns[PATCH]
    measured = times(campaign, ((point.at, point.known) for point in run.curve))
    counted = {kind: sum(effect.kind is kind for effect in run.history.effects) for kind in Kind}
    allowed = run.server.memory.policy.removal_after_warning
    last = run.curve[-1]
    return Report(
        scenario=run.scenario.name,
        devices=len(run.world.machines),
        days=(run.ends - run.begins) / timedelta(days=1),
        seed=run.seed,
        violations=tuple(violations(run)),
        hours_to_rate=round(measured.to_rate / HOUR, 1),
        hours_to_distribute=_hours(measured.to_distribute),
        days_to_99=days(measured.to_goal),
        standing=last.known,
        vulnerable=last.vulnerable,
        forced=counted[Kind.FORCED],
        removed=counted[Kind.CLOSED],
        removed_in_time=sum(
            each.closed_at - each.warned_at - each.held <= allowed for each in run.history.removals
        ),
        let_back=counted[Kind.OPENED],
        warned=counted[Kind.WARNED],
        sometimes=dict(sorted(run.history.sometimes.items())),
        trace_hash=run.trace_hash,
    )


def picture(run: Run) -> str:
    """Draw how many machines were truly vulnerable over time, as an SVG file of its own."""
    campaign = run.world.campaigns[PATCH]
    start = campaign.distributed_at or run.begins
    points = [(point.at, point.vulnerable) for point in run.curve if point.at >= start]
    drawn = str(curve(points, campaign.deadline_at, run.ends, texts("en")))
    opened, _, rest = drawn.partition(">")
    alone = opened.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f"{alone}>{_STYLE}{rest}\n"


def _hours(period: timedelta | None) -> float | None:
    return None if period is None else round(period / HOUR, 1)
