"""What TensorBoard's own readers make of a run: HParams, PR curves, histograms, pictures with answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample_run import scores as sample_scores
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.runs import QUICK, assert_same_run

import eyas
from eyas.evaluation.scores import Scores
from eyas.files.tensors import read_tensors
from eyas.render.mosaic import answers_chart
from eyas.sinks.board import pr_curves
from eyas.sinks.scalars import COMPARED, BestSoFar
from eyas.training.events import Evaluated, Pictured


@pytest.fixture(scope="module")
def runs(pictures, tmp_path_factory) -> Path:
    """Two runs that differ in their rate; the first shows all that there is to show."""
    place = tmp_path_factory.mktemp("runs")
    given = {**QUICK, "test": pictures["test"], "view": "none", "report": "none"}
    eyas.train(pictures["train"], **given, histograms=True, out=place / "all")
    eyas.train(pictures["train"], **given | {"lr": 1e-9}, out=place / "slow")
    return place


def board(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"histograms": 0, "tensors": 0})
    found.Reload()
    return found


def hparams(folder: Path):
    """Return what the HParams tab is told: (the experiment, the sessions by their run)."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    runs = EventMultiplexer().AddRunsFromDirectory(str(folder))
    runs.Reload()
    context = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(runs, str(folder))))
    asked = api_pb2.GetExperimentRequest(include_metrics=True)
    experiment = get_experiment.Handler(RequestContext(), context, "", asked).run()
    request = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=[api_pb2.STATUS_SUCCESS],
        start_index=0,
        slice_size=10,
        include_metrics=True,
        col_params=[api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos],
    )
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    return experiment, {session.name: (group, session) for group in groups for session in group.sessions}


def test_runs_can_be_compared_by_their_settings_and_best_results(runs):
    experiment, sessions = hparams(runs)
    assert {info.name for info in experiment.hparam_infos} == set(COMPARED)
    assert {info.name for info in experiment.hparam_infos if info.differs} == {
        "batch_size",
        "epochs",
        "lr",
        "model",
        "size",
    }
    assert experiment.metric_infos[0].name.tag == "best/test_accuracy"
    assert set(sessions) == {"all/tensorboard", "slow/tensorboard"}
    for name, rate in (("all", 0.05), ("slow", 1e-9)):
        group, _ = sessions[f"{name}/tensorboard"]
        shown = {
            key: value.number_value or value.string_value or value.bool_value for key, value in group.hparams.items()
        }
        assert (shown["lr"], shown["model"], shown["size"], shown["train"]) == (rate, "compact", 16, "list.txt")
        best = eyas.Classifier.load(runs / name).facts
        results = {value.name.tag: value.value for value in group.metric_values}
        assert results["best/test_accuracy"] == pytest.approx(best["scores"]["test"]["accuracy"])
        assert results["best/epoch"] == best["epoch"]


def test_every_setting_that_is_compared_is_one_and_of_its_type():
    from eyas.config.run_config import RunConfig, plain_settings

    known = dict(plain_settings(RunConfig()))
    for name, kind in COMPARED.items():
        assert known[name] is None or isinstance(known[name], (int, float) if kind is float else kind), name
        assert isinstance(known[name], bool) == (kind is bool)


def test_a_curve_of_precision_and_recall_is_that_of_the_probabilities(runs):
    tensors, header = read_tensors(runs / "all" / "predictions.safetensors", "predictions")
    logits, labels = tensors["test/logits"].double().softmax(1).numpy(), tensors["test/labels"].numpy()
    found = board(runs / "all")
    assert {tag for tag in found.Tags()["tensors"] if "_pr/" in tag} == {
        f"test_pr/{name}" for name in header["classes"]
    }
    whole = pr_curves(Scores(tuple(header["classes"]), np.bincount(labels * 3 + logits.argmax(1), minlength=9).reshape(3, 3), 1.0,
                             predicted=logits.argmax(1), targets=labels, logits=np.log(logits)), "test")  # fmt: skip
    for number, name in enumerate(header["classes"]):
        (value,) = whole[f"test_pr/{name}"].value
        data = np.array(value.tensor.float_val).reshape(6, 127)
        thresholds = np.arange(127) / 126
        for place in (1, 40, 63, 100):
            called = logits[:, number] >= thresholds[place]
            right, wrong = (called & (labels == number)).sum(), (called & (labels != number)).sum()
            assert (data[0, place], data[1, place]) == (right, wrong)
            assert data[5, place] == pytest.approx(right / (labels == number).sum())
        assert data[4, 0] == pytest.approx((labels == number).mean())


def test_curves_of_classes_that_never_occur_or_without_logits_are_left_out():
    confusion = np.array([[2, 0], [0, 0]])
    targets, logits = np.array([0, 0]), np.array([[1.0, 0.0], [2.0, 0.0]], np.float32)
    assert set(pr_curves(Scores(("a", "b"), confusion, 1.0, targets=targets, logits=logits), "val")) == {"val_pr/a"}
    assert pr_curves(Scores(("a", "b"), confusion, 1.0), "val") == {}


def test_histograms_hold_every_parameter_and_gradient_of_every_epoch(runs):
    found = board(runs / "all")
    tags = set(found.Tags()["histograms"])
    weights = eyas.Classifier.load(runs / "all" / "last.safetensors").network
    names = {name for name, _ in weights.named_parameters()}
    assert tags == {f"weights/{name}" for name in names} | {f"gradients/{name}" for name in names}
    for name, value in weights.named_parameters():
        epochs = found.Histograms(f"weights/{name}")
        assert [one.step for one in epochs] == [1, 2, 3]
        last = epochs[-1].histogram_value
        assert (last.num, sum(last.bucket)) == (value.numel(), value.numel())
        assert (last.min, last.max) == pytest.approx((value.min().item(), value.max().item()))
        assert last.sum == pytest.approx(value.double().sum().item(), abs=1e-6)
    gradient = found.Histograms("gradients/fc.weight")[0].histogram_value
    assert gradient.sum_squares > 0


def test_what_is_shown_changes_no_result(runs, pictures, tmp_path):
    given = {**QUICK, "test": pictures["test"], "view": "none", "report": "none"}
    eyas.train(pictures["train"], **given, out=tmp_path / "plain")
    assert_same_run(tmp_path / "plain", runs / "all")


def test_pictures_with_their_answers_are_shown_once_an_epoch_is_drawn(runs):
    (last,) = board(runs / "all").Images("test/answers")
    assert last.step == 3
    assert last.width > last.height > 100


def test_a_wrong_answer_is_marked_by_more_than_a_colour():
    confusion = np.array([[1, 1], [0, 1]])
    logits = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0]], np.float32)
    scores = Scores(
        ("cat", "dog"), confusion, 1.0, predicted=np.array([0, 1, 1]), targets=np.array([0, 0, 1]), logits=logits
    )
    shown = Pictured("test", np.array([0, 1, 2]), np.zeros((3, 8, 8, 3), np.uint8))
    figure = answers_chart(shown, scores)
    assert [words.get_text() for words in figure.axes[0].texts] == ["cat 88%", "✗ cat\n→ dog 88%", "dog 88%"]
    assert [frame.get_linewidth() for frame in figure.axes[0].patches] == [1.0, 4.0, 1.0]
    assert figure.get_suptitle() == "2 of these 3 are right (of the whole test set: 66.7%)"


def test_the_best_epoch_is_known_whichever_split_chose_it():
    def measured(epoch: int, split: str, *, improved: bool) -> Evaluated:
        return Evaluated(epoch, epoch, split, sample_scores(), split == "val", improved, 1.0)

    best = BestSoFar()
    assert best.hear(measured(1, "test", improved=False)) == []
    assert [event.split for event in best.hear(measured(1, "val", improved=True))] == ["test", "val"]
    assert best.hear(measured(2, "val", improved=False)) == best.hear(measured(2, "test", improved=False)) == []
    assert [event.split for event in best.hear(measured(3, "val", improved=True))] == ["val"]
    assert [event.split for event in best.hear(measured(3, "test", improved=False))] == ["test"]
