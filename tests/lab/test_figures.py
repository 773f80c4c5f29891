import subprocess
import sys
from pathlib import Path

import pytest

from diffkit.core.errors import UsageError
from diffkit.lab import figures


def draw(path: Path, stamp: str = "run 1234", slope: float = 2.0) -> bytes:
    with figures.figure(height=2.0) as (drawing, axes):
        axes.plot([0, 1], [0, slope], label=r"$\chi_1^L$")
        axes.legend()
        return figures.save(drawing, path, stamp).read_bytes()


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path, ending: str):
    first = draw(tmp_path / f"a.{ending}")
    assert draw(tmp_path / f"b.{ending}") == first
    assert b"run 1234" in first


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_another_figure_or_stamp_gives_other_bytes(tmp_path: Path, ending: str):
    first = draw(tmp_path / f"a.{ending}")
    assert draw(tmp_path / f"b.{ending}", slope=1.0) != first
    assert draw(tmp_path / f"c.{ending}", stamp="run 5678") != first


def test_another_process_gives_the_same_bytes(tmp_path: Path):
    code = "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
    code += "import test_figures; test_figures.draw(Path(sys.argv[2]))"
    target = tmp_path / "other.svg"
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(target)]
    subprocess.run(command, check=True)
    assert target.read_bytes() == draw(tmp_path / "mine.svg")


def test_no_date_is_in_the_file(tmp_path: Path):
    assert b"<dc:date>" not in draw(tmp_path / "a.svg")
    assert b"CreationDate" not in draw(tmp_path / "a.pdf")


def test_an_unchanged_figure_is_not_written_again(tmp_path: Path):
    draw(tmp_path / "a.svg")
    before = (tmp_path / "a.svg").stat().st_mtime_ns
    draw(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_mtime_ns == before


def test_a_bitmap_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"\.svg or \.pdf"):
        draw(tmp_path / "a.png")


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, diffkit.lab.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def luminance(colour: str) -> float:
    # Relative luminance of sRGB (WCAG 2): linearise each channel, then weigh.
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_first_two_colours_differ_even_in_grey():
    first, second, *_ = map(luminance, figures.PALETTE.values())
    assert abs(first - second) > 0.1


def test_the_settings_outside_the_block_are_untouched(tmp_path: Path):
    import matplotlib as mpl

    before = mpl.rcParams["font.family"]
    draw(tmp_path / "a.svg")
    assert mpl.rcParams["font.family"] == before


def test_a_legend_below_names_each_mark_once_and_is_broken_where_it_is_too_wide():
    with figures.figure(1, 2, height=2.0) as (drawing, panels):
        for panel in panels:
            for number in range(5):
                panel.plot([0, 1], label=f"a long name of the mark number {number}")
        figures.below(drawing, *panels)
        (legend,) = drawing.legends
        assert len(legend.get_texts()) == 5
        assert legend.get_window_extent().width <= drawing.bbox.width
    with figures.figure(height=2.0) as (drawing, panel):
        panel.plot([0, 1], label="wide" * 60)
        with pytest.raises(UsageError, match="shorten"):
            figures.below(drawing, panel)


def test_ticks_of_a_short_log_axis_are_written_out():
    with figures.figure(height=2.0) as (drawing, panel):
        panel.set(yscale="log", ylim=(0.04, 0.3))
        figures.few_decades(panel.yaxis)
        drawing.draw_without_rendering()
        texts = [label.get_text() for label in panel.get_yticklabels()]
    assert {"0.05", "0.1", "0.2"} <= set(texts)


def test_ticks_stand_at_the_values_alone_and_are_written_out():
    with figures.figure() as (drawing, panel):
        panel.semilogx([4, 64], [0, 1])
        figures.ticks_at(panel.xaxis, [4, 16, 64])
        drawing.draw_without_rendering()
        assert [label.get_text() for label in panel.get_xticklabels()] == ["4", "16", "64"]
        assert list(panel.xaxis.get_minorticklocs()) == []
