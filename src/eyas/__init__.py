"""eyas trains image classifiers with PyTorch. The public names; each is imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eyas.config.run_config import RunConfig as RunConfig
    from eyas.config.run_config import make_config as make_config
    from eyas.data.findings import Audit as Audit
    from eyas.data.images.preprocess import Preprocess as Preprocess
    from eyas.data.txt_dataset import ImageTxtDataset as ImageTxtDataset
    from eyas.device.runtime import open_runtime as open_runtime
    from eyas.errors import EyasError as EyasError
    from eyas.model.classifier import Classifier as Classifier
    from eyas.model.classifier import Prediction as Prediction
    from eyas.model.compact import compact as compact
    from eyas.model.zoo import alex as alex
    from eyas.sinks.console import live as live
    from eyas.training.loop import fit as fit
    from eyas.training.planning import make_plan as make_plan
    from eyas.verbs.calibrate import calibrate as calibrate
    from eyas.verbs.compare import compare as compare
    from eyas.verbs.evaluate import evaluate as evaluate
    from eyas.verbs.export import Exported as Exported
    from eyas.verbs.export import export as export
    from eyas.verbs.inspect import inspect as inspect
    from eyas.verbs.report import report as report
    from eyas.verbs.resume import resume as resume
    from eyas.verbs.runs import Overview as Overview
    from eyas.verbs.runs import runs as runs
    from eyas.verbs.train import train as train
    from eyas.verbs.training_run import Run as Run

_PLACES = {
    "Audit": "data.findings",
    "Classifier": "model.classifier",
    "Exported": "verbs.export",
    "EyasError": "errors",
    "ImageTxtDataset": "data.txt_dataset",
    "Overview": "verbs.runs",
    "Prediction": "model.classifier",
    "Preprocess": "data.images.preprocess",
    "Run": "verbs.training_run",
    "RunConfig": "config.run_config",
    "alex": "model.zoo",
    "calibrate": "verbs.calibrate",
    "compact": "model.compact",
    "compare": "verbs.compare",
    "evaluate": "verbs.evaluate",
    "export": "verbs.export",
    "fit": "training.loop",
    "inspect": "verbs.inspect",
    "live": "sinks.console",
    "make_config": "config.run_config",
    "make_plan": "training.planning",
    "open_runtime": "device.runtime",
    "report": "verbs.report",
    "resume": "verbs.resume",
    "runs": "verbs.runs",
    "train": "verbs.train",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import eyas` is fast."""
    if name not in _PLACES:
        raise AttributeError(f"module 'eyas' has no attribute {name!r}")
    return getattr(import_module(f"eyas.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
