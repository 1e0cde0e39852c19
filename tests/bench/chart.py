"""A chart of lines over two logarithmic axes, as SVG text that reads well on light and on dark paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import cycle
from typing import Final, NamedTuple

from tests.bench.table import write_number

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 130, 44, 48
GAP: Final = 15  # between two labels
# Colours that keep their distance on white and on GitHub's dark grey alike, also for the colour-blind (Okabe and Ito).
COLORS: Final = ("#e8590c", "#2f81c7", "#009e73", "#cc79a7", "#8a7f00", "#56a0d3", "#8c6bb1", "#b08968", "#868e96")
# One grey that is legible on both, since not every reader of SVG knows which paper it is on.
STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #7b838c; }
.title { font-size: 14px; font-weight: 600; }
.grid { stroke: #7b838c; stroke-opacity: .3; }
"""


class Line(NamedTuple):
    """One line: its label, and its points, none of which is zero."""

    label: str
    points: Sequence[tuple[float, float]]


class _Axis(NamedTuple):
    """Whole powers of ten from ``low`` to ``high``, from pixel ``start`` to ``end``."""

    low: int
    high: int
    start: float
    end: float

    def place(self, value: float) -> float:
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        return [10.0**exponent for exponent in range(self.low, self.high + 1)]


def draw(title: str, x_title: str, y_title: str, lines: Sequence[Line]) -> str:
    """The document. The first line is the one that matters, and drawn so. Costs and counts of nothing are left out."""
    across = _span([x for line in lines for x, _ in line.points], LEFT, WIDTH - RIGHT)
    up = _span([y for line in lines for _, y in line.points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        _text(LEFT, 20, title, "title"),
        _text((across.start + across.end) / 2, HEIGHT - 10, x_title, anchor="middle"),
        _text(LEFT, 36, y_title),
        *_draw_grid(across, up),
    ]
    ends = _keep_apart([up.place(line.points[-1][1]) for line in lines])
    # The first one is drawn last, so that no other covers it.
    for line, color, end in reversed(list(zip(lines, cycle(COLORS), ends, strict=False))):
        thick, bold = (3.5, ' font-weight="600"') if line is lines[0] else (1.8, "")
        places = [(across.place(x), up.place(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{thick}"/>')
        parts += (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{thick:g}" fill="{color}"/>' for x, y in places)
        x, y = places[-1]
        lead = f"M{x:.1f},{y:.1f} L{across.end + 12},{end:.1f}"
        parts.append(f'<path d="{lead}" stroke="{color}" stroke-dasharray="2 3" fill="none"/>')
        parts.append(
            f'<text x="{across.end + 16}" y="{end + 4:.1f}"{bold} style="fill:{color}">{escape(line.label)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _draw_grid(across: _Axis, up: _Axis) -> list[str]:
    parts = []
    for tick in across.ticks:
        x = across.place(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{up.end}" x2="{x:.1f}" y2="{up.start}"/>')
        parts.append(_text(x, up.start + 18, write_number(tick), anchor="middle"))
    for tick in up.ticks:
        y = up.place(tick)
        parts.append(f'<line class="grid" x1="{across.start}" y1="{y:.1f}" x2="{across.end}" y2="{y:.1f}"/>')
        parts.append(_text(across.start - 8, y + 4, f"{tick:,g}".replace(",", " "), anchor="end"))
    return parts


def _span(values: Sequence[float], start: float, end: float) -> _Axis:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return _Axis(low, max(high, low + 1), start, end)


def _keep_apart(places: Sequence[float]) -> list[float]:
    """The same heights, moved down as far as labels need it."""
    moved = list(places)
    last = -math.inf
    for index in sorted(range(len(places)), key=lambda index: places[index]):
        last = moved[index] = max(places[index], last + GAP)
    return moved


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
