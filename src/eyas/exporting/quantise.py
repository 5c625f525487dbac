"""int8 for CPUs: the network's products in 8 bits, calibrated on real images, and what that costs in accuracy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from eyas.data.images.ahead import read_ahead
from eyas.data.images.imageset import ImageSet, shuffled
from eyas.errors import DataError, ExportError
from eyas.evaluation.significance import SIGNIFICANT, mcnemar, paired_interval
from eyas.exporting.graph import FAILURES, INPUT, Answers, first_line, quiet
from eyas.exporting.pictures import CALIBRATION, Pixels, drawn, stacked
from eyas.terminal.progress import track

MOST = 10_000  # images that the accuracy is measured on
AT_ONCE = 32  # images that are read, and answered where they have one size
QUANTISED = ("Conv", "MatMul", "Gemm")  # products with weights, where a network computes; all else stays float32
CUTTING = ("Relu", "Clip")  # what cuts off a product's numbers: the 8 bits are laid over what it leaves


@dataclass(frozen=True, slots=True)
class Quantised:
    """What int8 costs, measured on `count` labelled images of `source`; calibrated on `calibrated` images."""

    source: str
    count: int
    right_before: int
    right_after: int
    only_before: int  # images that only the fp32 file answers rightly
    only_after: int
    same_labels: int
    difference: float  # the largest one of any probability
    calibrated: int = 0
    calibration: str = ""
    bytes_before: int = 0
    bytes_after: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference of the accuracies, int8 minus fp32."""
        return paired_interval(self.only_before, self.only_after, self.count)

    @property
    def p(self) -> float:
        """McNemar's exact p of that difference."""
        return mcnemar(self.only_before, self.only_after)

    @property
    def loses(self) -> bool:
        """Whether int8 has fewer right answers, by more than chance (p < 0.05)."""
        return self.right_after < self.right_before and self.p < SIGNIFICANT

    def in_words(self) -> list[tuple[str, str]]:
        """Return rows for people; the last one is a warning where int8 loses more than chance takes."""
        low, high = (100 * end for end in self.interval)
        before, after = (100 * right / self.count for right in (self.right_before, self.right_after))
        rows = [
            ("int8 accuracy", f"{after:.2f} % (fp32: {before:.2f} %) of {self.count:,} images of {self.source}"),
            (
                "difference",
                f"{after - before:+.2f} points [{low:+.2f}, {high:+.2f}]; {self.only_after:,} only int8 has right, "
                f"{self.only_before:,} only fp32 (McNemar, p = {self.p:.2g})",
            ),
            (
                "agreement",
                f"{self.same_labels:,} of {self.count:,} labels are the same; "
                f"a probability differs by {self.difference:.2g} at most",
            ),
            ("calibrated", f"on {self.calibrated:,} images of {self.calibration}"),
            ("size", f"{self.bytes_after / 1e6:.1f} MB (fp32: {self.bytes_before / 1e6:.1f} MB)"),
        ]
        if self.loses:
            lost = f"int8 loses {before - after:.2f} points of accuracy here, more than chance would take"
            what = "Use the fp32 file (export without --int8), or another network."
            rows.append(("warning", f"{lost} (p = {self.p:.2g}). {what}"))
        return rows


class Calibration:
    """Gives onnxruntime's quantiser one call's images at a time."""

    def __init__(self, images: ImageSet, batch: int | str) -> None:
        pictures = list(drawn(images, CALIBRATION))
        if not pictures:
            why = "none of its images can be decoded, so nothing can be calibrated on them."
            raise DataError(f"{images.source}: {why}")
        at_once = 1 if batch == "dynamic" else int(batch)
        self.calls = (stacked(pictures, start, at_once) for start in range(0, len(pictures), at_once))
        self.count = 0

    def get_next(self) -> dict[str, Pixels] | None:
        """Return the next images, None after the last."""
        pixels = next(self.calls, None)
        self.count += 0 if pixels is None else len(pixels)
        return None if pixels is None else {INPUT: pixels}


def quantise(proto: Any, inner: frozenset[str], images: ImageSet, target: Path, batch: int | str) -> int:
    """Write an ONNX model with its network in int8 to `target`; return the number of images it was calibrated on.

    Static, in QDQ form: weights of 7 bits, a scale per channel (8 bits can overflow where a CPU lacks VNNI, and the
    answers would depend on the machine), activations of 8 bits, whose range is taken after the ReLU that follows a
    product. What is not the network (`inner`) stays exact. Raises `ExportError`.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    # Weights only: attention multiplies what has none, and stays in float32.
    learnt = {tensor.name for tensor in proto.graph.initializer}
    products = [
        node for node in proto.graph.node
        if node.name in inner and node.op_type in QUANTISED and learnt.intersection(node.input[:2])
    ]  # fmt: skip
    if not products:
        raise ExportError("The network has no convolution and no linear layer: there is nothing to quantise.")
    # Before a ReLU6 the numbers may go from -40 to 40. Laid over all of them, 8 bits would leave few levels for the
    # part from 0 to 6 that is used. onnxruntime takes the range behind the cutting node where that is named too.
    read = Counter(name for node in proto.graph.node for name in node.input)
    given = {node.output[0] for node in products if read[node.output[0]] == 1}
    cutting = [node for node in proto.graph.node if node.op_type in CUTTING and node.input[0] in given]
    wanted = [node.name for node in (*products, *cutting)]
    calibration = Calibration(images, batch)
    with quiet():
        try:
            quantize_static(
                proto, target, calibration, quant_format=QuantFormat.QDQ, nodes_to_quantize=wanted, per_channel=True,
                reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )  # fmt: skip
        except FAILURES as error:
            raise ExportError(f"onnxruntime cannot quantise the network: {first_line(error)}") from error
    return calibration.count


def measured(before: Answers, after: Answers, images: ImageSet, batch: int | str) -> Quantised:
    """Return how two files answer to labelled images, which index the model's outputs.

    Of a set of more than 10,000 images as many are taken, chosen alike every time; unreadable ones are left out.
    """
    chosen = np.sort(shuffled(len(images), 1)[:MOST])
    most = AT_ONCE if batch == "dynamic" else int(batch)

    def read(index: int) -> Pixels | None:
        try:
            return np.asarray(images.images.picture(index)).transpose(2, 0, 1)
        except DataError:
            return None

    rows: list[tuple[float, float, float, float]] = []  # label, answer before, answer after, how far they lie apart
    groups = [chosen[start : start + AT_ONCE].tolist() for start in range(0, len(chosen), AT_ONCE)]
    reading = zip(groups, read_ahead(groups, read), strict=True)
    for group, found in track(reading, len(groups), "Measuring int8"):
        there = sorted(((index, one) for index, one in zip(group, found, strict=True) if one is not None), key=shape_of)
        for _, alike in groupby(there, shape_of):  # one call takes images of one size
            remaining = iter(alike)
            while part := list(islice(remaining, most)):
                filled = part if batch == "dynamic" else part + [part[-1]] * (most - len(part))
                together = np.stack([pixels for _, pixels in filled])
                one, other = before(together)[: len(part)], after(together)[: len(part)]
                apart = np.abs(one - other).max(1)
                labels = images.labels[[index for index, _ in part]]
                rows += zip(labels, one.argmax(1), other.argmax(1), apart, strict=True)
    if not rows:
        raise DataError(f"{images.source}: none of its images can be decoded, so int8 cannot be measured.")
    labels, first, second, apart = np.array(rows).T
    right, also = first == labels, second == labels
    return Quantised(
        images.source, len(rows), int(right.sum()), int(also.sum()), int((right & ~also).sum()),
        int((~right & also).sum()), int((first == second).sum()), float(apart.max()),
    )  # fmt: skip


def shape_of(numbered: tuple[int, Pixels]) -> tuple[int, ...]:
    """Return the shape of a numbered image."""
    return numbered[1].shape
