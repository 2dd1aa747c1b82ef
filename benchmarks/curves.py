"""Curves of mIoU against points a class, as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

WIDE, HIGH, GAP, TOP, BASE, HEADER = 240, 180, 52, 34, 40, 30
"""Px: of a panel, between two, above and below one, above all."""

COLUMNS = 4

STRONG = {"head": "#08519c", "head, suggested": "#d95f0e"}
"""Colours of the curves that are drawn thick, with their spread."""

FAINT = ("#999999", "#66a61e", "#7570b3", "#e7298a", "#a6761d")
"""Of the others."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Mean IoU by numbers of points a class.

    Attributes
    ----------
    counts : tuple of int
        Points a class.
    mean, spread : (len(counts),) float64
        Over draws: the mean and the standard deviation.
    """

    counts: tuple[int, ...]
    mean: np.ndarray
    spread: np.ndarray


def figure(panels: Mapping[str, Mapping[str, Curve]]) -> str:
    """Panels of curves by their titles and names; all curves of a panel begin with the words alone."""
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    others = [name for name in names if name not in STRONG]
    colours = {**dict(zip(others, FAINT, strict=False)), **STRONG}
    rows = -(-len(panels) // COLUMNS)
    width = GAP + min(COLUMNS, len(panels)) * (WIDE + GAP)
    height = HEADER + rows * (TOP + HIGH + BASE)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_key(names, colours),
    ]
    for number, (title, curves) in enumerate(panels.items()):
        left = GAP + number % COLUMNS * (WIDE + GAP)
        top = HEADER + number // COLUMNS * (TOP + HIGH + BASE) + TOP
        lines += [f'<g transform="translate({left}, {top})">', *_panel(title, curves, colours), "</g>"]
    return "\n".join([*lines, "</svg>", ""])


def _key(names: list[str], colours: Mapping[str, str]) -> list[str]:
    """What each colour is, in a line."""
    lines, left = [], GAP
    for name, colour in [("words alone", "#333"), *((name, colours[name]) for name in names)]:
        dash = ' stroke-dasharray="3 3"' if name == "words alone" else ""
        lines += [
            f'<line x1="{left}" y1="16" x2="{left + 22}" y2="16" stroke="{colour}" stroke-width="2"{dash}/>',
            f'<text x="{left + 28}" y="20">{name}</text>',
        ]
        left += 50 + 7 * len(name)
    return lines


def _panel(title: str, curves: Mapping[str, Curve], colours: Mapping[str, str]) -> list[str]:
    """A panel with its upper left corner at the origin."""
    counts = next(iter(curves.values())).counts
    values = np.concatenate([curve.mean + sign * curve.spread for curve in curves.values() for sign in (-1, 1)])
    low, high = np.floor(values.min() * 20) / 20, np.ceil(values.max() * 20) / 20
    x = np.linspace(0, WIDE, len(counts))

    def y(value: np.ndarray) -> np.ndarray:
        return HIGH * (high - value) / (high - low)

    lines = [
        f'<text x="0" y="-10" font-size="14" font-weight="bold">{title}</text>',
        f'<rect width="{WIDE}" height="{HIGH}" fill="none" stroke="#bbb"/>',
        f'<text x="{WIDE / 2}" y="{HIGH + 32}" text-anchor="middle">points a class</text>',
    ]
    for at, count in zip(x, counts, strict=True):
        lines.append(f'<text x="{at:.1f}" y="{HIGH + 16}" text-anchor="middle">{count}</text>')
    for tick in np.linspace(low, high, 3):
        lines.append(f'<text x="-6" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
    start = y(next(iter(curves.values())).mean[0])
    lines.append(f'<line x1="0" y1="{start:.1f}" x2="{WIDE}" y2="{start:.1f}" stroke="#333" stroke-dasharray="3 3"/>')
    for name, curve in curves.items():
        colour, is_strong = colours[name], name in STRONG
        if is_strong:
            edges = np.concatenate([y(curve.mean + curve.spread), y(curve.mean - curve.spread)[::-1]])
            band = _points(np.concatenate([x, x[::-1]]), edges)
            lines.append(f'<polygon points="{band}" fill="{colour}" fill-opacity="0.15"/>')
        points, thick = _points(x, y(curve.mean)), 2.5 if is_strong else 1
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{thick}"/>')
    return lines


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return " ".join(f"{one:.1f},{other:.1f}" for one, other in zip(x, y, strict=True))
