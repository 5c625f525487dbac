"""What TensorBoard's files hold: records appended by whoever asks, cut back after a crash; and what plugins read.

torch's own writer has a thread, where a full disk ends unheard.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eyas.evaluation.confidence import softmax
from eyas.evaluation.scores import Scores
from eyas.files.atomic import write_bytes
from eyas.sinks.scalars import BEST, COMPARED, class_tags, shown_settings
from eyas.training.events import Histogram, Setting

BY_STEP = frozenset({"train/loss", "train/learning_rate"})  # every other tag counts in epochs
CHIEF = frozenset({"batch_size", "epochs", "lr", "model", "size"})
THRESHOLDS = 127  # of a curve of precision and recall: the most that the plugin takes


class EventFile:
    """Appends records to a new file in `folder`. Its methods raise `OSError` where the disk refuses."""

    def __init__(self, folder: Path, *, purge_step: int | None = None) -> None:
        """Begin the file; `purge_step` tells a TensorBoard that is showing older ones what to forget."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        now = time.time_ns()
        name = f"events.out.tfevents.{now // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{now % 10**9:09d}"
        self._file = (folder / name).open("ab")
        self._record(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if purge_step is not None:
            self._record(Event(wall_time=time.time(), step=purge_step, session_log=SessionLog(status=SessionLog.START)))

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Add a point of a curve."""
        from torch.utils.tensorboard.summary import scalar

        self.add_summary(scalar(tag, value), step)  # type: ignore[no-untyped-call]

    def add_text(self, tag: str, text: str, step: int) -> None:
        """Add a text in Markdown."""
        from torch.utils.tensorboard.summary import text as text_summary

        self.add_summary(text_summary(tag, text), step)  # type: ignore[no-untyped-call]

    def add_image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Add a picture, uint8 [H, W, 3]."""
        from torch.utils.tensorboard.summary import image

        self.add_summary(image(tag, pixels, dataformats="HWC"), step)  # type: ignore[no-untyped-call]

    def flush(self) -> None:
        """Hand everything to the system: it outlives this process."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add_summary(self, summary: Any, step: int) -> None:
        """Add a `Summary` of tensorboard's."""
        from tensorboard.compat.proto.event_pb2 import Event

        self._record(Event(wall_time=time.time(), step=step, summary=summary))

    def _record(self, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        RecordWriter(self._file).write(event.SerializeToString())


def drop_past(folder: Path, step: int, steps_per_epoch: int) -> set[tuple[str, int]]:
    """Rewrite the event files in `folder` without what lies past `step`, each file whole at any time.

    Returns the (tag, step) of the epoch that ended last: a run interrupted while it evaluated does so again.
    The writer's own purge mark cannot do this: it knows one axis, but tags here count in steps or in epochs.
    """
    from tensorboard.compat.proto.event_pb2 import Event as Stored

    there: set[tuple[str, int]] = set()
    for path in sorted(folder.glob("events.out.tfevents.*")):
        if step < 0:
            path.unlink()
            continue
        content, kept = path.read_bytes(), []
        for record in _records(content):
            stored = Stored.FromString(record[12:-4])
            tags = {value.tag for value in stored.summary.value}
            at = int(stored.step) if tags else 0  # without tags it is a file's heading
            epoch = step // steps_per_epoch
            if at <= (step if tags <= BY_STEP else epoch):
                kept.append(record)
                there.update((tag, at) for tag in tags - BY_STEP if at == epoch)
        if (clean := b"".join(kept)) != content:
            write_bytes(path, clean)
    return there


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of an event file, framed as they are, without a half-written last one and damaged ones.

    The frame (TFRecord): uint64 length, uint32 checksum, the bytes, uint32 checksum.
    """
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    start = 0
    while start + 12 <= len(content):
        length, checksum = struct.unpack_from("<QI", content, start)
        end = start + 12 + length + 4
        if checksum != masked_crc32c(content[start : start + 8]) or end > len(content):
            return  # where the next one begins is not known
        if struct.unpack_from("<I", content, end - 4) == (masked_crc32c(content[start + 12 : end - 4]),):
            yield content[start:end]
        start = end


def hparams_experiment(splits: Sequence[str]) -> Any:
    """Return which settings and which results the HParams tab compares, those of `splits` first.

    The plugin takes this from whichever run it reads first. Without it every curve of every class would be a column.
    Of the settings it shows those first that are said to differ; the others can be ticked.
    """
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    kinds = {bool: api_pb2.DATA_TYPE_BOOL, float: api_pb2.DATA_TYPE_FLOAT64, str: api_pb2.DATA_TYPE_STRING}
    columns = [
        api_pb2.HParamInfo(name=name, type=kinds[kind], differs=name in CHIEF) for name, kind in COMPARED.items()
    ]
    known = sorted(("test", "val"), key=lambda split: split not in splits)
    tags = [f"best/{split}_{measure}" for split in known for measure in BEST]
    results = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag.partition("/")[2].replace("_", " "))
        for tag in (*tags, "best/epoch")
    ]
    experiment = api_pb2.Experiment(hparam_infos=columns, metric_infos=results, time_created_secs=time.time())
    return _hparams("experiment", plugin_data_pb2.HParamsPluginData(experiment=experiment))


def hparams_start(settings: tuple[tuple[str, Setting], ...]) -> Any:
    """Return the settings of this run that others are compared by."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    values = shown_settings(settings)
    for name, kind in COMPARED.items():
        value = values.get(name)
        if value is None:
            continue  # not given: an empty cell
        field = {bool: "bool_value", float: "number_value", str: "string_value"}[kind]
        setattr(start.hparams[name], field, kind(value))
    return _hparams("session_start_info", plugin_data_pb2.HParamsPluginData(session_start_info=start))


def hparams_end() -> Any:
    """Return that the run is over."""
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    return _hparams("session_end_info", plugin_data_pb2.HParamsPluginData(session_end_info=end))


def _hparams(tag: str, content: Any) -> Any:
    """Return plugin data as a summary; `tensorboard.plugins.hparams.summary` does the same but needs TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    about = metadata.create_summary_metadata(content)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{tag}", metadata=about, tensor=metadata.NULL_TENSOR)])


def pr_curves(scores: Scores, split: str) -> dict[str, Any]:
    """Return a curve of precision and recall for each class that occurs, by tag: that class against all others."""
    from torch.utils.tensorboard.summary import pr_curve_raw

    if scores.logits is None or scores.targets is None:
        return {}
    places = np.floor(softmax(scores.logits) * (THRESHOLDS - 1)).astype(np.int64)
    found = {}
    for number, tag in enumerate(class_tags(scores.classes)):
        if not scores.support[number]:
            continue
        its = scores.targets == number
        counts = [np.bincount(places[rows, number], minlength=THRESHOLDS)[::-1].cumsum()[::-1] for rows in (its, ~its)]
        right, wrong = (count.astype(np.float64) for count in counts)  # called so at each threshold
        called = right + wrong
        precision = np.where(called > 0, right / np.maximum(called, 1), 1.0)  # where none is called so, as scikit-learn
        # the exact numbers of samples; `pr_curve` would count them anew for each class
        arrays = (right, wrong, wrong[0] - wrong, right[0] - right, precision, right / right[0])
        name = f"{split}_pr/{tag}"
        found[name] = pr_curve_raw(name, *arrays, num_thresholds=THRESHOLDS)  # type: ignore[no-untyped-call]
    return found


def histogram(event: Histogram) -> Any:
    """Return a histogram as a summary."""
    from torch.utils.tensorboard.summary import histogram_raw

    limits = np.linspace(event.low, event.high, len(event.counts) + 1)[1:]
    numbers = (event.low, event.high, event.count, event.total, event.squares, limits.tolist(), event.counts.tolist())
    return histogram_raw(f"{event.kind}/{event.name}", *numbers)  # type: ignore[no-untyped-call]


def markdown(heads: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    """Return a table in Markdown whose cells are shown as they are, whatever characters they hold."""

    def escaped(text: str) -> str:
        """Return a text with numeric references where a character means something in Markdown or HTML."""
        return re.sub(r"[^\w .,:;()/+%=°×-]|_", lambda found: f"&#{ord(found.group())};", " ".join(text.split()))

    lines = [heads, ("---",) * len(heads), *(tuple(map(escaped, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
