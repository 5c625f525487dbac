"""Small charts of a page: what stands at their axes."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from eyas.render.plots import Curve, bars_plot, curves_plot, number_text, share_text, tick_labels

LABEL = re.compile(r"<text class=tick [^>]*text-anchor=\"(\w+)\">([^<]*)</text>")
NUMBERS = some.floats(-1e12, 1e12, allow_nan=False) | some.floats(-1e-6, 1e-6) | some.sampled_from([0.0, 1e-9, 1e9, -1e9])


def axes(chart: str) -> tuple[list[str], list[str]]:
    """Return what stands at the upright axis and at the other one."""
    found = LABEL.findall(chart)
    return [words for end, words in found if end == "end"], [words for end, words in found if end == "middle"]


@given(NUMBERS, some.floats(0, 1), some.integers(-12, 3), some.integers(1, 5000))
@settings(max_examples=300, deadline=None)
def test_no_label_of_an_axis_is_there_twice(low, part, power, first):
    values = [low, low + part * 10.0**power * max(abs(low), 1e-12)]
    chart = curves_plot([first, first + 1], [Curve("train", values, "training")])
    for labels in axes(chart):
        assert len(labels) == len(set(labels)) > 0
    if values[0] > 0:
        for labels in axes(bars_plot([first, first + 1], values)):
            assert len(labels) == len(set(labels)) > 0


@given(some.floats(0, 1), some.floats(0, 1), some.integers(0, 8))
@settings(max_examples=200, deadline=None)
def test_no_share_is_there_twice_and_none_leaves_0_to_100(low, part, power):
    values = [low, min(1.0, low + part * 10.0**-power)]
    labels, _ = axes(curves_plot([1, 2], [Curve("test", values, "test")], said=share_text, whole=(0.0, 1.0)))
    assert len(labels) == len(set(labels)) > 0
    assert all(0 <= float(label.removesuffix(" %")) <= 100 for label in labels)


@pytest.mark.parametrize("values", [(2.3021, 2.3027), (1.0, 1.0), (0.0, 0.0), (-3.5, -3.5), (1e-9, 2e-9), (1e9, 1e9 + 3)])
def test_a_label_says_where_its_tick_stands(values):
    chart = curves_plot([1, 2], [Curve("train", values, "training")])
    heights = [float(y) for y in re.findall(r"<line class=grid [^>]*y1=\"([\d.]+)\"", chart)]
    labels = [float(label) for label in axes(chart)[0]]
    steps = {round((one - other) / (y - z), 3 - math.floor(math.log10(abs((one - other) / (y - z)))))
             for one, other, y, z in zip(labels, labels[1:], heights, heights[1:], strict=False)}  # fmt: skip
    assert max(steps) - min(steps) <= 0.01 * abs(max(steps, key=abs))


def test_numbers_are_said_without_needless_digits():
    assert [number_text(value) for value in (0.0, 0.5, 0.001, 1e-4, 1000.0, 12_345.0, 1.5e9)] == [
        "0", "0.5", "0.001", "1e-4", "1000", "12345", "1.5e9",
    ]  # fmt: skip
    assert tick_labels([2.302, 2.3025, 2.303], number_text) == ["2.302", "2.3025", "2.303"]
    assert tick_labels([0.07, 0.14], share_text) == ["7 %", "14 %"]
