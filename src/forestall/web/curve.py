"""The picture of a campaign: machines still vulnerable over time, on a scale that shows the last percent."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 18, 34

Points = Sequence[tuple[datetime, int]]
"""How many machines were still vulnerable after each change, oldest first."""


def curve(points: Points, deadline_at: datetime | None, now: datetime, t: Mapping[str, str]) -> Markup:
    """Draw the curve as SVG: logarithmic, with the deadline and the line of the last percent; empty for no machines.

    Colours come from the page's style sheet (classes), so that it follows light and dark.
    """
    if not points or not points[0][1]:
        return Markup()
    label = escape(t["curve"])
    start, most = points[0]
    end = max(now, deadline_at or now, start + timedelta(hours=1))

    def x(at: datetime) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * ((at - start) / (end - start))

    def y(count: float) -> float:
        top = math.log10(most + 1)
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - math.log10(count + 1) / top)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" class="curve">',
        f"<title>{label}</title>",
        *_scale(most, y),
        *_days(start, end, x, escape(t["day"])),
        f'<line class="goal" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(most / 100):.1f}" y2="{y(most / 100):.1f}"/>',
        f'<text class="goal" x="{WIDTH - _RIGHT}" y="{y(most / 100) - 4:.1f}" text-anchor="end">99 %</text>',
        f'<polyline class="fact" points="{" ".join(_steps(points, now, x, y))}"/>',
    ]
    if deadline_at is not None:
        at = x(deadline_at)
        parts.append(
            f'<line class="deadline" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
        )
        parts.append(
            f'<text class="deadline" x="{at - 4:.1f}" y="{_TOP + 10}" text-anchor="end">{escape(t["deadline"])}</text>'
        )
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - numbers of ours, and words that are escaped


def _scale(most: int, y: Callable[[float], float]) -> Iterator[str]:
    """Mark 0, 1, 10, 100 ... up to all machines."""
    decades = [10**power for power in range(int(math.log10(most)) + 1)]
    for count in [0, *(decade for decade in decades if decade * 2 < most), most]:
        at = y(count)
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{count:,}</text>'


def _days(start: datetime, end: datetime, x: Callable[[datetime], float], unit: str) -> Iterator[str]:
    """Mark the days, not more than about ten of them."""
    days = int((end - start) / timedelta(days=1))
    for day in range(0, days + 1, max(1, days // 10)):
        at = x(start + timedelta(days=day))
        yield f'<text x="{at:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{day} {unit}</text>'


def _steps(
    points: Points, now: datetime, x: Callable[[datetime], float], y: Callable[[float], float]
) -> Iterator[str]:
    """Go down in steps: a machine is vulnerable until it is not."""
    before = points[0][1]
    for at, count in points:
        yield f"{x(at):.1f},{y(before):.1f}"
        yield f"{x(at):.1f},{y(count):.1f}"
        before = count
    yield f"{x(now):.1f},{y(before):.1f}"
