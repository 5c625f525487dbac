"""Charts: readable for few and many classes, whatever the names, without a warning and without global state."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from sample_run import scores, whole

from eyas.evaluation.scores import Scores
from eyas.render.charts import confusion_chart, curves_chart, per_class_chart, save_chart
from eyas.render.lettering import lettered
from eyas.render.mosaic import pictures_chart
from eyas.sinks.table import MetricsTable, read_table


def words(figure: object) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [2, 10, 40, 200])
def test_charts_of_any_number_of_classes_can_be_drawn(count: int, tmp_path: Path) -> None:
    some = scores(70, tuple(f"a rather long name of a class {number}" for number in range(count)))
    save_chart(per_class_chart(some), tmp_path / "classes.png")
    save_chart(confusion_chart(some), tmp_path / "confusion.png")
    assert {path.name for path in tmp_path.iterdir()} == {"classes.png", "confusion.png"}


def test_of_many_classes_the_worst_are_shown_and_it_is_said() -> None:
    confusion = np.diag(np.full(100, 90))
    confusion[7, 7], confusion[7, 8] = 40, 50
    said = words(per_class_chart(Scores(tuple(f"name {number}" for number in range(100)), confusion, 1.0)))
    assert "the 20 lowest F1 of 100 classes" in said
    assert "name 7  (90)" in said and "name 99 " not in said


def test_counts_are_printed_where_there_is_room() -> None:
    assert "80" in words(confusion_chart(scores(80))).splitlines()
    many = scores(80, tuple(f"name {number}" for number in range(21)))
    assert "80" not in words(confusion_chart(many)).splitlines()


def test_names_that_look_like_formulas_or_have_no_glyph_are_harmless(tmp_path: Path) -> None:
    odd = scores(80, ("$x_{", "\U0001f9ff", "a\nb", "\x1b[31m", " ", "rare 𠀀", "plain"))
    for chart in (per_class_chart(odd), confusion_chart(odd)):
        save_chart(chart, tmp_path / "odd.svg")
        assert "$x_{" in words(chart) and "class 2" in words(chart) and "\x1b" not in words(chart)


def test_a_name_that_no_font_can_write_is_said_by_number() -> None:
    names, fonts = lettered(("plain", "\U0001f9ff", "x" * 50 + "y"))
    assert names[:2] == ["plain", "class 1"] and names[2] == "x" * 16 + "…" + "x" * 6 + "y"
    assert fonts[0] == "DejaVu Sans"


def test_a_set_in_which_classes_are_missing_can_be_drawn(tmp_path: Path) -> None:
    empty = Scores(("cat", "dog", "bird"), np.array([[5, 1, 0], [0, 0, 0], [0, 0, 0]]), 1.0)
    save_chart(per_class_chart(empty), tmp_path / "classes.png")
    save_chart(confusion_chart(empty), tmp_path / "confusion.png")
    assert "no samples" in words(per_class_chart(empty))


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_curves_are_drawn_from_the_table_of_any_number_of_epochs(epochs: int, tmp_path: Path) -> None:
    table = MetricsTable(tmp_path / "metrics.csv")
    for event in whole(tmp_path):
        if event.step <= 10 * epochs:
            table.write(event)
    rows = read_table(tmp_path / "metrics.csv") if epochs else []
    chart = curves_chart(rows)
    save_chart(chart, tmp_path / "curves.png")
    assert ("best, epoch 2" in words(chart)) == (epochs == 3)


def test_pictures_carry_their_labels(tmp_path: Path) -> None:
    chart = pictures_chart(np.zeros((9, 8, 8, 3), dtype=np.uint8), ("cat",) * 9)
    save_chart(chart, tmp_path / "pictures.png")
    assert words(chart).count("cat") == 9


def test_the_same_chart_is_the_same_file_and_pyplot_stays_away(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        save_chart(per_class_chart(scores()), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "matplotlib.pyplot" not in sys.modules
