"""The look of every figure, and files that are the same byte for byte when the run is the same.

Matplotlib is imported when a figure is drawn, never with the package.
"""

import contextlib
import io
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from diffkit.core.errors import UsageError

WIDTH = 5.5  # inches: the text width of the paper
HEIGHT = 3.4
#: Okabe and Ito (2008): told apart with every kind of colour vision, and in grey.
PALETTE = {
    "black": "#000000",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "orange": "#E69F00",
    "yellow": "#F0E442",
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_FORMATS = {".svg", ".pdf"}


def style() -> dict[str, Any]:
    """Matplotlib settings of all figures."""
    from cycler import cycler

    colours = cycler(color=list(PALETTE.values()))
    return {
        "figure.figsize": (WIDTH, HEIGHT),
        "figure.constrained_layout.use": True,
        "font.family": "STIXGeneral",
        "font.size": 9,
        "mathtext.fontset": "stix",
        "axes.prop_cycle": colours + cycler(marker=list(MARKERS)),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.5,
        "legend.frameon": False,
        "legend.fontsize": 8,
        # Outlines instead of text: a reader without the fonts sees the same figure.
        "svg.fonttype": "path",
        # Without a fixed salt the names inside an SVG are random.
        "svg.hashsalt": "diffkit",
        "pdf.fonttype": 42,
    }


@contextlib.contextmanager
def figure(
    rows: int = 1, columns: int = 1, *, height: float = HEIGHT, **options: Any
) -> Generator[tuple[Any, Any], None, None]:
    """Give a figure and its axes in diffkit's style; it is closed at the end of the block.

    Args:
        rows: Rows of panels, >= 1.
        columns: Columns of panels, >= 1.
        height: Inches.
        options: Passed to `Figure.subplots` (sharex, sharey, squeeze).
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(style()):
        # A Figure of its own, not pyplot's: no window system, no global state.
        drawing = Figure(figsize=(WIDTH, height))
        yield drawing, drawing.subplots(rows, columns, **options)


def few_decades(axis: Any) -> None:
    """Ticks at 1, 2 and 5 of every decade, written out: a log axis too short for powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def ticks_at(axis: Any, values: Sequence[float]) -> None:
    """Ticks at these values alone, written out: the settings that were measured."""
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_ticks((), minor=True)


def below(drawing: Any, *panels: Any) -> None:
    """One legend under the panels, each name once, in as few lines as the width allows."""
    entries: dict[str, Any] = {}
    for panel in panels:
        entries |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    for lines in range(1, len(entries) + 1):
        legend = drawing.legend(
            entries.values(),
            entries.keys(),
            loc="outside lower center",
            ncols=-(-len(entries) // lines),
            fontsize=7.5,
        )
        if legend.get_window_extent().width <= drawing.bbox.width:
            return
        legend.remove()
    raise UsageError("a name in the legend is wider than the figure: shorten it")


def save(drawing: Any, path: str | Path, stamp: str) -> Path:
    """Write a figure as SVG or PDF; the same figure and stamp give the same bytes.

    Args:
        drawing: A Matplotlib figure.
        path: Target ending in .svg or .pdf.
        stamp: Which run it shows (address, commit); kept in the file's metadata.

    Returns:
        The path written.

    Raises:
        UsageError: another ending; bitmaps are not reproducible across machines.
    """
    import matplotlib as mpl

    target = Path(path)
    if target.suffix not in _FORMATS:
        raise UsageError(f"{target.name}: figures are saved as .svg or .pdf")
    if target.suffix == ".svg":
        metadata: dict[str, Any] = {"Date": None, "Creator": "diffkit", "Description": stamp}
    else:
        metadata = {"CreationDate": None, "Creator": "diffkit", "Producer": None, "Subject": stamp}
    buffer = io.BytesIO()
    with mpl.rc_context(style()):
        drawing.savefig(buffer, format=target.suffix[1:], metadata=metadata)
    if not target.is_file() or target.read_bytes() != buffer.getvalue():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        partial.write_bytes(buffer.getvalue())
        partial.replace(target)
    return target
