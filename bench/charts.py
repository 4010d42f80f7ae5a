"""Charts as SVG, by a few lines of our own: readable on a light page and on a dark one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, LABELS, MARGIN, ROW = 760, 250, 12, 26
PLOT_HEIGHT = 260
STYLE = """<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 }
  .soft { fill: #6e7781; font-size: 12px }
  .grid { stroke: #d0d7de } .spread { stroke: #24292f; stroke-width: 1.5 }
  .ours { fill: #0969da } .theirs { fill: #afb8c1 }
  .line { fill: none; stroke-width: 2 } .s0 { stroke: #0969da } .s1 { stroke: #bc4c00 } .s2 { stroke: #1a7f37 }
  .d0 { fill: #0969da } .d1 { fill: #bc4c00 } .d2 { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .soft { fill: #8d96a0 } .grid { stroke: #30363d } .spread { stroke: #e6edf3 }
    .ours { fill: #4493f8 } .theirs { fill: #545d68 }
    .s0 { stroke: #4493f8 } .s1 { stroke: #f0883e } .s2 { stroke: #3fb950 }
    .d0 { fill: #4493f8 } .d1 { fill: #f0883e } .d2 { fill: #3fb950 }
  }
</style>"""

Bar = tuple[str, Sequence[float], str]
"""A name, a value for each round, and the number as it is read."""


def bars(title: str, rows: Sequence[Bar], ours: str = "Landline") -> str:
    """Draw a bar for each row, as long as its median, with a line from the least to the most."""
    most = max(max(values) for _, values, _ in rows) or 1.0
    room = WIDTH - LABELS - 130
    parts = []
    for number, (name, values, text) in enumerate(rows):
        top = 40 + number * ROW
        middle, least, greatest = (_median(values), min(values), max(values))
        kind = "ours" if name.startswith(ours) else "theirs"
        length, low, high = (value / most * room for value in (middle, least, greatest))
        parts.append(f'<text x="{LABELS - 8}" y="{top + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{max(length, 1):.1f}" height="18" rx="2"/>')
        parts.append(_line("spread", LABELS + low, top + 9, LABELS + high, top + 9))
        parts.append(
            f'<text class="soft" x="{LABELS + max(length, high) + 8:.1f}" y="{top + 14}">{escape(text)}</text>'
        )
    return _svg(title, parts, 40 + len(rows) * ROW + MARGIN)


def lines(title: str, unit: str, across: str, series: Mapping[str, Mapping[float, Sequence[float]]]) -> str:
    """Draw what grows, or does not, over a logarithmic scale; a dot at each median, a line over its spread.

    Args:
        title: what is shown.
        unit: of the values.
        across: what there is more and more of.
        series: by name, the values of each round at each number of it; 0 stands at the left end.
    """
    places = sorted({place for points in series.values() for place in points})
    most = 1.15 * max(max(values) for points in series.values() for values in points.values()) or 1.0
    left, right, top, bottom = 60, WIDTH - 20, 60, 60 + PLOT_HEIGHT

    def x(place: float) -> float:
        low, high = math.log10(max(places[0], 1)), math.log10(max(places[-1], 10))
        return left + 20 + (math.log10(max(place, 1)) - low) / (high - low) * (right - left - 40)

    def y(value: float) -> float:
        return bottom - value / most * (bottom - top)

    parts = []
    for value in _ticks(most):
        parts.append(_line("grid", left, y(value), right, y(value)))
        parts.append(f'<text class="soft" x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,.6g}</text>')
    parts += [
        f'<text class="soft" x="{x(place):.1f}" y="{bottom + 18}" text-anchor="middle">{place:,.0f}</text>'
        for place in places
    ]
    parts.append(f'<text class="soft" x="{right}" y="{bottom + 36}" text-anchor="end">{escape(across)}</text>')
    parts.append(f'<text class="soft" x="{left}" y="{top - 10}">{escape(unit)}</text>')
    for number, (name, points) in enumerate(series.items()):
        track = " ".join(f"{x(place):.1f},{y(_median(points[place])):.1f}" for place in sorted(points))
        parts.append(f'<polyline class="line s{number}" points="{track}"/>')
        for place, values in points.items():
            parts.append(_line(f"s{number}", x(place), y(min(values)), x(place), y(max(values))))
            parts.append(f'<circle class="d{number}" cx="{x(place):.1f}" cy="{y(_median(values)):.1f}" r="4"/>')
        parts.append(f'<circle class="d{number}" cx="{left + 120 + number * 200}" cy="{top - 14}" r="4"/>')
        parts.append(f'<text x="{left + 130 + number * 200}" y="{top - 10}">{escape(name)}</text>')
    return _svg(title, parts, bottom + 36 + MARGIN)


def _svg(title: str, parts: Sequence[str], height: float) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img">\n<title>{escape(title)}</title>\n{STYLE}\n<text class="title" x="{MARGIN}" y="22">'
        f"{escape(title)}</text>\n{body}\n</svg>\n"
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _ticks(most: float) -> list[float]:
    """Return some round numbers from 0 to `most`."""
    power = 10.0 ** math.floor(math.log10(most))
    step = next(step * power for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if most / (step * power) <= 6)
    return [step * number for number in range(int(most / step) + 1)]


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
