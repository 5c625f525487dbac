"""What TensorBoard's plugins read: settings that runs are compared by, curves of precision and recall, histograms."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from eyas.evaluation.scores import Scores
from eyas.sinks.scalars import BEST, COMPARED, class_tags, shown_settings
from eyas.training.events import Histogram, Setting

CHIEF = frozenset({"batch_size", "epochs", "lr", "model", "size"})
THRESHOLDS = 127  # of a curve of precision and recall: the most that the plugin takes


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
    exponents = scores.logits.astype(np.float64)
    exponents = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    places = np.floor(exponents / exponents.sum(axis=1, keepdims=True) * (THRESHOLDS - 1)).astype(np.int64)
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
    lines = [heads, ("---",) * len(heads), *(tuple(map(_escaped, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Return `text` as numeric references where a character means something in Markdown or HTML."""
    return re.sub(r"[^\w .,:;()/+%=°×-]|_", lambda found: f"&#{ord(found.group())};", " ".join(text.split()))
