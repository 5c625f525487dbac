"""eyas trains image classifiers with PyTorch. What is listed here is public; it is loaded when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eyas.auditing import inspect as inspect
    from eyas.calibrating import calibrate as calibrate
    from eyas.comparing import compare as compare
    from eyas.config import RunConfig as RunConfig
    from eyas.config import make_config as make_config
    from eyas.data.findings import Audit as Audit
    from eyas.data.preprocess import Preprocess as Preprocess
    from eyas.data.txt_dataset import ImageTxtDataset as ImageTxtDataset
    from eyas.errors import EyasError as EyasError
    from eyas.exporting import Exported as Exported
    from eyas.exporting import export as export
    from eyas.measure import evaluate as evaluate
    from eyas.model.classifier import Classifier as Classifier
    from eyas.model.classifier import Prediction as Prediction
    from eyas.model.compact import compact as compact
    from eyas.model.zoo import alex as alex
    from eyas.notebook import live as live
    from eyas.overview import Overview as Overview
    from eyas.overview import runs as runs
    from eyas.plan import make_plan as make_plan
    from eyas.reporting import report as report
    from eyas.run import Run as Run
    from eyas.run import resume as resume
    from eyas.run import train as train
    from eyas.training.loop import fit as fit
    from eyas.training.runtime import open_runtime as open_runtime

_PLACES = {
    "Audit": "data.findings",
    "Classifier": "model.classifier",
    "Exported": "exporting",
    "EyasError": "errors",
    "ImageTxtDataset": "data.txt_dataset",
    "Overview": "overview",
    "Prediction": "model.classifier",
    "Preprocess": "data.preprocess",
    "Run": "run",
    "RunConfig": "config",
    "alex": "model.zoo",
    "calibrate": "calibrating",
    "compact": "model.compact",
    "compare": "comparing",
    "evaluate": "measure",
    "export": "exporting",
    "fit": "training.loop",
    "inspect": "auditing",
    "live": "notebook",
    "make_config": "config",
    "make_plan": "plan",
    "open_runtime": "training.runtime",
    "report": "reporting",
    "resume": "run",
    "runs": "overview",
    "train": "run",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    """Load a public name from its room: importing eyas itself costs nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module 'eyas' has no attribute {name!r}")
    return getattr(import_module(f"eyas.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
