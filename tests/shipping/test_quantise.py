"""int8: 8 bits are laid over what a network uses, and a loss that is more than chance is a warning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eyas.config.data import DataConfig
from eyas.data.spec import open_images
from eyas.exporting.graph import INPUT, OUTPUT
from eyas.exporting.onnx_file import open_onnx
from eyas.exporting.quantise import measured, quantise

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

COLOURS = np.eye(3, dtype=np.float32)


@pytest.fixture(scope="module")
def images(pictures):
    return open_images(pictures["test"], DataConfig(), split="test")


def two_products(*, also_read: bool = False) -> onnx.ModelProto:
    """Return pixels -> product, from -1000 to 1000 -> ReLU6 -> product."""
    spread = numpy_helper.from_array((8 * COLOURS - 4).reshape(3, 3, 1, 1), "spread")
    second = numpy_helper.from_array(COLOURS.reshape(3, 3, 1, 1), "second")
    ends = [numpy_helper.from_array(np.float32(value), name) for name, value in (("low", 0), ("high", 6))]
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Conv", ["pixels", "spread"], ["wide"], "first"),
        helper.make_node("Clip", ["wide", "low", "high"], ["cut"], "relu6"),
        helper.make_node("Conv", ["cut", "second"], ["narrow"], "last"),
        helper.make_node("GlobalAveragePool", ["narrow"], ["mean"], "pool"),
        helper.make_node("Flatten", ["mean"], [OUTPUT], "flat"),
    ]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", 3])]
    if also_read:
        nodes.append(helper.make_node("ReduceMax", ["wide"], ["most"], "most", keepdims=0))
        outputs.append(helper.make_tensor_value_info("most", TensorProto.FLOAT, []))
    graph = helper.make_graph(
        nodes, "two", [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 3, "H", "W"])], outputs,
        [spread, second, *ends],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


INNER = frozenset({"first", "relu6", "last"})


def test_the_eight_bits_are_laid_over_what_a_relu6_leaves(images, tmp_path):
    proto, target = two_products(), tmp_path / "two.onnx"
    onnx.save(proto, target)
    before = open_onnx(target)
    assert quantise(proto, INNER, images, target, "dynamic") == 21
    small = onnx.load(target)
    assert not any(node.op_type == "Clip" for node in small.graph.node)  # the 8 bits end where it would cut
    scales = {one.name: numpy_helper.to_array(one) for one in small.graph.initializer if one.name.endswith("_scale")}
    assert scales["cut_scale"] == pytest.approx(6 / 255)
    assert "wide_scale" not in scales
    picture = np.asarray(images.images.picture(0)).transpose(2, 0, 1)[None]
    assert np.abs(open_onnx(target)(picture) - before(picture)).max() < 0.15


def test_a_relu_stays_where_the_numbers_before_it_are_read_elsewhere_too(images, tmp_path):
    quantise(two_products(also_read=True), INNER, images, tmp_path / "two.onnx", "dynamic")
    small = onnx.load(tmp_path / "two.onnx")
    assert [node.name for node in small.graph.node if node.op_type == "Clip"] == ["relu6"]


def of_colours(pixels):
    """Return one at the colour that a picture has most of."""
    found = pixels.mean((2, 3)).argmax(1)
    return COLOURS[found]


def test_a_loss_that_is_more_than_chance_is_a_warning_and_a_smaller_one_is_none(images):
    order = [("red", "green", "blue").index(name) for name in images.classes]

    def right(pixels):
        return of_colours(pixels)[:, order]

    def wrong(pixels):
        return np.roll(right(pixels), 1, axis=1)

    worse = measured(right, wrong, images, "dynamic")
    assert (worse.right_before, worse.right_after, worse.loses) == (21, 0, True)
    what, said = worse.in_words()[-1]
    assert what == "warning"
    assert "int8 loses 100.00 points of accuracy here, more than chance would take (p = 9.5e-07)" in said
    for cost in (measured(right, right, images, "dynamic"), measured(wrong, right, images, "dynamic")):
        assert not cost.loses
        assert "warning" not in dict(cost.in_words())
    five, six = (replace(worse, right_after=21 - lost, only_before=lost) for lost in (5, 6))
    assert (five.loses, six.loses) == (False, True)  # p = 0.06 and 0.03
