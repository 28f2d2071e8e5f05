"""The result as a picture: for each row, how many times better than the baseline a loop is (log axis)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.measure import COMPARED
from harness.model import LIMIT
from harness.report import quantity
from harness.summary import Row

# A loop keeps its colour in every chart.
COLOURS = {
    "veloop": "#1a7f4e",
    "uvloop": "#e0a526",
    "zuvloop": "#7b5ea7",
    "rloop": "#c8553d",
    "rsloop": "#4a90c2",
    "aiofastnet": "#9aa5b1",
}
OTHER_COLOURS = ("#5d737e", "#b56576", "#6d9dc5", "#d4a373")
EMPHASISED = "veloop"  # its bars carry their ratio
BAR = 0.17  # inches
GAP = 0.13  # inches between two rows
WIDTH = 10.0
MOST = 100.0  # a longer bar is cut, and its figure says so
TIMES = "\N{MULTIPLICATION SIGN}"


class CannotDraw(Exception):
    """matplotlib is missing, or the file's name says no format that it knows."""


def check(path: Path) -> None:
    """Raises CannotDraw now rather than after the measurements."""
    if path.suffix not in {".svg", ".png"}:
        raise CannotDraw(f"{path.name}: a chart is an .svg or a .png")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise CannotDraw("a chart needs matplotlib, which is not installed") from None


def draw(rows: Sequence[Row], loops: Sequence[str], baseline: str, path: Path, caption: str = "") -> None:
    """Writes an SVG or a PNG. ``loops`` in the order of the bars; the baseline is the line at 1."""
    check(path)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    compared = [name for name in loops if name not in {baseline, LIMIT}]
    rows = [row for row in rows if row.measured(baseline)]
    heights = BAR * max(1, len(compared)) + GAP
    settings: dict[Any, Any] = {
        "font.family": ["sans-serif"],
        "font.size": 9,
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "veloop",  # the same figures give the same file
    }
    with pyplot.rc_context(settings):
        figure, axes = pyplot.subplots(figsize=(WIDTH, heights * max(1, len(rows)) + 1.3))
        for number, row in enumerate(rows):
            if number % 2:
                axes.axhspan(number - 0.5, number + 0.5, color="#f4f5f7", linewidth=0, zorder=0)
            _draw_row(axes, number, row, compared, baseline, BAR / heights)
        _finish_axes(axes, rows, compared, baseline)
        # In inches above the rows: the axis, the legend, the heading, what was measured.
        top = heights * max(1, len(rows))
        for height, text, size in (
            (0.95, f"How many times better than {baseline} (log scale)", 13),
            (0.75, caption, 8),
        ):
            axes.text(-0.55, 1 + height / top, text, transform=axes.transAxes, fontsize=size, color="#333333")
        figure.savefig(
            path, bbox_inches="tight", dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None
        )
        pyplot.close(figure)


def _colour(name: str, compared: Sequence[str]) -> str:
    others = [other for other in compared if other not in COLOURS]
    return COLOURS.get(name) or OTHER_COLOURS[others.index(name) % len(OTHER_COLOURS)]


def _draw_row(
    axes: Any, number: int, row: Row, compared: Sequence[str], baseline: str, height: float
) -> None:
    top = number - height * (len(compared) - 1) / 2
    for position, name in enumerate(compared):
        place = top + position * height
        colour = _colour(name, compared)
        ratio = row.ratio(name, baseline)
        if ratio is None:
            if row.results.get(name):
                why = "fails" if row.error(name) else "fires early" if row.early_us(name) else "no figure"
                axes.text(1.03, place, f"{name} {why}", va="center", fontsize=7, color=colour)
            continue
        shown = min(ratio.median, MOST)
        axes.barh(place, shown - 1, height * 0.86, left=1, color=colour, zorder=2)
        axes.plot(
            [ratio.low, min(ratio.high, MOST)], [place, place], color="#00000055", linewidth=0.7, zorder=3
        )
        if name == EMPHASISED or ratio.median > MOST:
            end = max(shown, min(ratio.high, MOST), 1.0)
            digits = 2 if ratio.median < 10 else 0
            axes.text(
                end * 1.03,
                place,
                f"{ratio.median:.{digits}f}{TIMES}",
                va="center",
                fontsize=7.5,
                color=colour,
                fontweight="bold",
                zorder=6,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.4},
            )
    limit = row.ratio(LIMIT, baseline)
    if limit is not None:
        across = [number - 0.42, number + 0.42]
        axes.plot([limit.median] * 2, across, color="black", linewidth=1.6, zorder=4)


def _finish_axes(axes: Any, rows: Sequence[Row], compared: Sequence[str], baseline: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter

    axes.set_xscale("log")
    axes.axvline(1, color="#333333", linewidth=1, zorder=3)
    names = [*compared, LIMIT]
    ratios = [spread for row in rows for name in names if (spread := row.ratio(name, baseline))]
    low = min([0.5, *(spread.low for spread in ratios)])
    high = max([2.0, *(spread.high for spread in ratios)])
    axes.set_xlim(max(low, 0.05) / 1.15, min(high, MOST) * 1.5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{TIMES}"))
    axes.minorticks_off()
    ticks = [
        tick
        for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
        if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]
    ]
    axes.set_xticks(ticks)
    axes.grid(axis="x", color="#d8dbe0", linewidth=0.6, zorder=1)
    axes.set_axisbelow(True)
    axes.tick_params(axis="both", length=0)
    axes.xaxis.tick_top()
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.set_yticks(range(len(rows)), [_label(row, baseline) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    handles: list[Any] = [Patch(color=_colour(name, compared), label=name) for name in compared]
    handles.append(
        Line2D([], [], color="#333333", linewidth=1, label=f"{baseline} = 1 (its figure is on the left)")
    )
    if any(row.ratio(LIMIT, baseline) for row in rows):
        handles.append(Line2D([], [], color="black", linewidth=2, label="plain C server: the limit"))
    axes.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(handles),
        frameon=False,
        borderaxespad=2.2,
    )


def _label(row: Row, baseline: str) -> str:
    """The title and the baseline's figure; of several percentiles the one that is compared."""
    title = re.sub(r"\bp50 / p99( / p99\.9)?", COMPARED, row.title)
    return f"{title}   {quantity(row.value(baseline).median, row.results[baseline][0].unit)}"
