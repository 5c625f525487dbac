"""Settings of `predict`: which classes, which images, where the output goes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eyas.config.section import Section


class PredictConfig(Section):
    """How images are classified and what is written of each."""

    form: Literal["csv", "jsonl", "parquet"] | None = None
    """Form of the rows. Default: what --out ends in; on the terminal csv."""
    top: Annotated[int, Field(ge=1)] = 1
    """Number of most likely classes per image."""
    unknown_below: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Call an image unknown where its largest probability is below this (0: never)."""
    views: Literal["one", "flip", "shift"] | None = None
    """Views of an image whose answers are averaged. Default: as the model was measured; flip takes twice the work,
    shift six times."""
    copy_to: str | None = None
    """Folder to copy the images to, into a folder per class. What is there is never overwritten."""
    columns: str | None = None
    """Column of the paths in lists, such as path=0 or path=image_id. Default: found by itself."""
    keep_columns: tuple[str, ...] | None = None
    """Columns of lists to write beside the answers, by header or number; all where none is named. Comes after PATH."""
    root: str | None = None
    """Folder that paths in lists are relative to. Default: the folder of the list."""
    outside_root: bool = False
    """Read also files that a list names outside that folder."""
    max_megapixels: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    """Most million pixels of an image; larger ones are refused before they are decoded."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Images per batch. Default: as many as are fast."""
