"""A chart of a few lines over the same axis, as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ("line_charts",)

_WIDTH, _HEIGHT, _LEFT, _GAP = 760, 130, 70, 46
_COLOURS = ("#3572a5", "#c4532d", "#2e8555", "#7a4fa3")


def line_charts(title: str, axis: str, xs: Sequence[float], lines: Mapping[str, Sequence[float]]) -> str:
    """Draw a chart for each line, one below the other; every vertical axis begins at zero.

    Args:
        title: What it shows.
        axis: What the horizontal axis counts.
        xs: Its values.
        lines: A value for each of them, by what they are.
    """
    width, height = 2 * _LEFT + _WIDTH, 50 + len(lines) * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans">',
        f'<rect width="100%" height="100%" fill="#ffffff"/><text x="{_LEFT}" y="26" font-size="17">{title}</text>',
    ]
    for number, (name, ys) in enumerate(lines.items()):
        parts += _line_chart(50 + number * (_HEIGHT + _GAP), name, axis, xs, ys, _COLOURS[number % len(_COLOURS)])
    return "\n".join((*parts, "</svg>")) + "\n"


def _line_chart(  # noqa: PLR0917 - a chart has that many parts
    top: float, name: str, axis: str, xs: Sequence[float], ys: Sequence[float], colour: str
) -> list[str]:
    bottom = top + _HEIGHT
    most, last = max(ys) * 1.15 or 1.0, max(xs) or 1.0
    points = " ".join(
        f"{_LEFT + x / last * _WIDTH:.1f},{bottom - y / most * _HEIGHT:.1f}" for x, y in zip(xs, ys, strict=True)
    )
    right = _LEFT + _WIDTH
    return [
        f'<path d="M{_LEFT} {top}V{bottom}H{right}" fill="none" stroke="#999999"/>',
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<text x="{_LEFT}" y="{top - 5}" font-size="13" fill="{colour}">{name}</text>',
        f'<text x="{_LEFT - 6}" y="{bottom}" font-size="12" text-anchor="end">0</text>',
        f'<text x="{_LEFT - 6}" y="{top + 9}" font-size="12" text-anchor="end">{most:.0f}</text>',
        f'<text x="{right}" y="{bottom + 15}" font-size="12" text-anchor="end">{last:.0f} {axis}</text>',
        f'<text x="{right + 6}" y="{bottom - ys[-1] / most * _HEIGHT + 4:.1f}" font-size="12">{ys[-1]:.0f}</text>',
    ]
