"""JSON files: strict, whole or not there."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eyas.files.atomic import write_text


def strict(value: Any) -> Any:
    """Return `value` as plain JSON: arrays as lists, paths as text, what is not a finite number as null."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [strict(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def write_json(path: str | Path, value: Any) -> None:
    """Write a value to a file."""
    write_text(Path(path), json.dumps(strict(value), ensure_ascii=False, indent=1, allow_nan=False) + "\n")
