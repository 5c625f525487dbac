"""Settings of `predict`: classes, images and output."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eyas.config.section import Section


class PredictConfig(Section):
    """How images are classified and what is written for each."""

    form: Literal["csv", "jsonl", "parquet"] | None = None
    """Output format. Default: by the ending of --out; csv on the terminal."""
    top: Annotated[int, Field(ge=1)] = 1
    """Number of most likely classes to write per image."""
    unknown_below: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Label an image unknown if its largest probability is below this (0: never)."""
    views: Literal["one", "flip", "shift"] | None = None
    """Test-time augmentation: average the outputs over views of an image. Default: as the model was evaluated; flip
    takes 2x the work, shift 6x."""
    copy_to: str | None = None
    """Folder to copy the images to, with one subfolder per predicted class. Existing files are never overwritten."""
    columns: str | None = None
    """Column of lists that holds the paths, such as path=0 or path=image_id. Default: detected."""
    keep_columns: tuple[str, ...] | None = None
    """Columns of lists to copy to the output, by header or number (all, if none is named). Put it after PATH."""
    root: str | None = None
    """Folder that paths in list files are relative to. Default: the folder of the list."""
    outside_root: bool = False
    """Allow list entries that point outside that folder."""
    max_megapixels: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    """Maximum size of an image in megapixels; larger ones are rejected before they are decoded."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Images per batch. Default: chosen for speed."""
