"""int8 for CPUs: the network's products in 8 bits, calibrated on real images, and what that costs in accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eyas.data.images.ahead import read_ahead
from eyas.data.images.imageset import ImageSet, shuffled
from eyas.errors import DataError, ExportError
from eyas.evaluation.significance import SIGNIFICANT, mcnemar, paired_interval
from eyas.exporting.graph import INPUT
from eyas.exporting.pictures import CALIBRATION, Pixels, drawn, stacked
from eyas.exporting.program import FAILURES, Answers, first_line, quiet
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
        return [
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
            *([("warning", self._warning())] if self.loses else []),
        ]

    def _warning(self) -> str:
        lost = 100 * (self.right_before - self.right_after) / self.count
        return (
            f"int8 loses {lost:.2f} points of accuracy here, more than chance would take (p = {self.p:.2g}). "
            "Use the fp32 file (export without --int8), or another network."
        )


class Calibration:
    """Gives onnxruntime's quantiser one call's images at a time."""

    def __init__(self, images: ImageSet, batch: int | str) -> None:
        self.calls = _calls(images, 1 if batch == "dynamic" else int(batch))
        self.count = 0

    def get_next(self) -> dict[str, Pixels] | None:
        """Return the next images, None after the last."""
        pixels = next(self.calls, None)
        self.count += 0 if pixels is None else len(pixels)
        return None if pixels is None else {INPUT: pixels}


def _calls(images: ImageSet, at_once: int) -> Iterator[Pixels]:
    pictures = list(drawn(images, CALIBRATION))
    if not pictures:
        raise DataError(f"{images.source}: none of its images can be decoded, so nothing can be calibrated on them.")
    for start in range(0, len(pictures), at_once):
        together = [pictures[(start + number) % len(pictures)] for number in range(at_once)]
        yield stacked(together, together[0].size)


def quantise(proto: Any, inner: frozenset[str], images: ImageSet, target: Path, batch: int | str) -> int:
    """Write an ONNX model with its network in int8 to `target`; return the number of images it was calibrated on.

    Static, in QDQ form: weights of 7 bits, a scale per channel (8 bits can overflow where a CPU lacks VNNI, and the
    answers would depend on the machine), activations of 8 bits, whose range is taken after the ReLU that follows a
    product. What is not the network (`inner`) stays exact. Raises `ExportError`.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    wanted = _wanted(proto.graph, inner)
    if not wanted:
        raise ExportError("The network has no convolution and no linear layer: there is nothing to quantise.")
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


def _wanted(graph: Any, inner: frozenset[str]) -> list[str]:
    """Return the names of the products with weights, and of what only cuts off their numbers.

    Before a ReLU6 the numbers may go from -40 to 40. Laid over all of them, 8 bits would leave few levels for the part
    from 0 to 6 that is used. onnxruntime takes the range behind the cutting node where that node is named too.
    """
    learnt = {tensor.name for tensor in graph.initializer}  # attention multiplies what has no weights: in float32
    products = [
        node for node in graph.node
        if node.name in inner and node.op_type in QUANTISED and learnt.intersection(node.input[:2])
    ]  # fmt: skip
    read = Counter(name for node in graph.node for name in node.input)
    given = {node.output[0] for node in products if read[node.output[0]] == 1}
    cutting = [node for node in graph.node if node.op_type in CUTTING and node.input[0] in given]
    return [node.name for node in (*products, *cutting)]


def measured(before: Answers, after: Answers, images: ImageSet, batch: int | str) -> Quantised:
    """Return how two files answer to labelled images, which index the model's outputs.

    Of a set of more than 10,000 images as many are taken, chosen alike every time; unreadable ones are left out.
    """
    rows = [row for group in _answered(before, after, images, batch) for row in group]
    if not rows:
        raise DataError(f"{images.source}: none of its images can be decoded, so int8 cannot be measured.")
    table = np.array(rows)
    labels, first, second, apart = table.T
    right, also = first == labels, second == labels
    return Quantised(
        images.source, len(rows), int(right.sum()), int(also.sum()), int((right & ~also).sum()),
        int((~right & also).sum()), int((first == second).sum()), float(apart.max()),
    )  # fmt: skip


def _answered(
    before: Answers, after: Answers, images: ImageSet, batch: int | str
) -> Iterator[list[tuple[float, float, float, float]]]:
    """Yield (label, answer before, answer after, largest difference of a probability) of every image."""
    chosen = np.sort(shuffled(len(images), 1)[:MOST])

    def read(index: int) -> Pixels | None:
        try:
            return np.asarray(images.images.picture(index)).transpose(2, 0, 1)
        except DataError:
            return None

    groups = [chosen[start : start + AT_ONCE].tolist() for start in range(0, len(chosen), AT_ONCE)]
    reading = zip(groups, read_ahead(groups, read), strict=True)
    for group, pixels in track(reading, len(groups), "Measuring int8"):
        there = [(index, one) for index, one in zip(group, pixels, strict=True) if one is not None]
        for indices, together in _of_one_size(there, batch):
            one, other = before(together)[: len(indices)], after(together)[: len(indices)]
            apart = np.abs(one - other).max(1)
            yield list(zip(images.labels[indices], one.argmax(1), other.argmax(1), apart, strict=True))


def _of_one_size(images: list[tuple[int, Pixels]], batch: int | str) -> Iterator[tuple[list[int], Pixels]]:
    """Yield (indices, pixels) of images that one call can take; a fixed batch is filled up with its last image."""
    by_size: dict[tuple[int, ...], list[tuple[int, Pixels]]] = {}
    for index, pixels in images:
        by_size.setdefault(pixels.shape, []).append((index, pixels))
    most = AT_ONCE if batch == "dynamic" else int(batch)
    for alike in by_size.values():
        for start in range(0, len(alike), most):
            part = alike[start : start + most]
            filled = part if batch == "dynamic" else part + [part[-1]] * (most - len(part))
            yield [index for index, _ in part], np.stack([pixels for _, pixels in filled])
