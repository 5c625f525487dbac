"""The mistakes of a run's best model, and labels that are probably wrong, each with its image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from eyas.data.images.imageset import ImageSet
from eyas.errors import DataError, EyasError
from eyas.evaluation.confidence import Doubt, doubtful_labels, softmax
from eyas.files.pathnames import last_part
from eyas.predicting.table import path_of
from eyas.render.material import Shot, Shots
from eyas.run_folder.origin import Origin
from eyas.run_folder.record import Record

if TYPE_CHECKING:
    from eyas.model.classifier import Classifier

ERRORS_SHOWN = 12  # each with a map of where the network looked
DOUBTS_SHOWN = 12


class Pictures:
    """The pictures of the sets, and where the model looks in them; without sets, or a model, none."""

    def __init__(self, sets: dict[str, ImageSet], classifier: Classifier | None, missing: tuple[str, ...] = ()) -> None:
        self.sets, self._classifier, self.missing = sets, classifier, missing

    @staticmethod
    def of(record: Record, split: str, sets: dict[str, ImageSet] | None, device: str) -> Pictures:
        """Open the sets that were measured; why `split` cannot be shown is in `missing`."""
        opened, missing = {}, []
        for name in record.scores:
            try:
                sets = Origin(record.folder, record.config).sets()[1] if sets is None else sets
                opened[name] = _images(record, name, sets)
            except (EyasError, OSError) as error:
                missing += [str(error).splitlines()[0]] if name == split else []
        from eyas.model.classifier import Classifier

        try:
            classifier = Classifier.load(record.folder / "best.safetensors", device)
        except (EyasError, OSError) as error:
            return Pictures({}, None, (*missing, str(error).splitlines()[0]))
        grey_range = classifier.preprocess.grey_range
        opened = {name: images.decoded(grey_range) for name, images in opened.items()}
        return Pictures(opened, classifier, tuple(missing))

    def shot(self, split: str, sample: int, said: tuple[str, str, float, float], *, heat: bool) -> Shot:
        """Return a sample with its picture and, where asked for, its map; `said`: label, answer, how likely each is."""
        if split not in self.sets or self._classifier is None:
            return Shot(None, None, *said, f"#{sample}")
        images = self.sets[split]
        place = last_part(images.place(sample))
        try:
            image = images.images.picture(sample)
        except DataError:
            return Shot(None, None, *said, place)
        return Shot(image, self._heat(image, said[1]) if heat else None, *said, place)

    def _heat(self, image: Image.Image, answer: str) -> Image.Image | None:
        from eyas.data.images.decode import to_tensor
        from eyas.render.overlay import overlay

        assert self._classifier is not None
        heat = self._classifier.heatmap(image, answer)
        return None if heat is None else overlay(self._classifier.preprocess.resized(to_tensor(image)), heat)


def _images(record: Record, split: str, sets: dict[str, ImageSet]) -> ImageSet:
    """Return the set that was measured. Raises `DataError` where it is no more what it was."""
    if split not in sets:
        raise DataError(f"config.toml names no {split} set any more.")
    images = sets[split]
    if record.scores[split].skipped > images.skipped:
        from eyas.data.images.preprocess import Preprocess
        from eyas.data.prepared import prepare

        preprocess = Preprocess.from_dict(record.header["preprocess"])
        images = prepare(images, preprocess, record.config.data).images
    if images.fingerprint() != record.samples[split]:
        raise DataError(f"{images.source}: is no more the set that was measured: its images or labels were changed.")
    return images


def errors_of(record: Record, split: str, pictures: Pictures, elsewhere: list[tuple[str, Doubt]]) -> Shots:
    """Return the mistakes that the model was surest of, but for those whose labels are doubted `elsewhere`."""
    scores = record.scores[split]
    assert scores.predicted is not None and scores.targets is not None
    wrong = np.flatnonzero(scores.predicted != scores.targets)
    count = len(wrong)
    shares = shares_of(record, split)
    if shares is None:
        return Shots(count, ())
    wrong = np.setdiff1d(wrong, [doubt.sample for name, doubt in elsewhere if name == split])
    surest = wrong[np.argsort(-shares[wrong, scores.predicted[wrong]], kind="stable")][:ERRORS_SHOWN]
    shots = []
    for sample in surest.tolist():
        label, answer = int(scores.targets[sample]), int(scores.predicted[sample])
        sure = float(shares[sample, label]), float(shares[sample, answer])
        said = (scores.classes[label], scores.classes[answer], *sure)
        shots.append(pictures.shot(split, sample, said, heat=True))
    return Shots(count, tuple(shots), count - len(wrong))


def doubted_labels(record: Record) -> list[tuple[str, Doubt]] | None:
    """Return the samples of all sets whose labels are probably wrong, the surest first, each with its set.

    None where nothing is known of them: no set's probabilities were kept, or the model is too often wrong itself.
    """
    known = [(split, scores.targets, shares) for split, scores in record.scores.items() if scores.can_doubt
             and scores.targets is not None and (shares := shares_of(record, split)) is not None]  # fmt: skip
    found = [(split, doubt) for split, targets, shares in known for doubt in doubtful_labels(shares, targets)]
    return sorted(found, key=lambda one: one[1].given - one[1].probability) if known else None


def shown_doubts(record: Record, doubted: list[tuple[str, Doubt]], pictures: Pictures) -> Shots:
    """Return the first of the doubted labels with their pictures."""
    classes = next(iter(record.scores.values())).classes
    shown = (
        pictures.shot(
            split, one.sample, (classes[one.label], classes[one.likely], one.given, one.probability), heat=False
        )
        for split, one in doubted[:DOUBTS_SHOWN]
    )
    return Shots(len(doubted), tuple(shown))


def rows_of(
    doubted: list[tuple[str, Doubt]] | None, record: Record, pictures: Pictures
) -> tuple[tuple[str, str, str, float], ...] | None:
    """Return a row for each doubted label, of `DOUBTS`; None where a file of an image is not known."""
    if any(split not in pictures.sets for split, _ in doubted or ()):
        return None
    classes = next(iter(record.scores.values())).classes if record.scores else ()
    return tuple(
        (path_of(pictures.sets[split], one.sample), classes[one.label], classes[one.likely], one.probability)
        for split, one in doubted or ()
    )


def shares_of(record: Record, split: str) -> np.ndarray | None:
    """Return the probabilities that the model gives, float64 [N, C]."""
    logits = record.scores[split].logits
    return None if logits is None else softmax(logits, record.header.get("temperature", 1.0))
