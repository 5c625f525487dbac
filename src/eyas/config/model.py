"""Settings of the network."""

from __future__ import annotations

from eyas.config.section import Section


class ModelConfig(Section):
    """The network and its initial weights."""

    model: str = "alexnet"
    """Name of a network; `eyas models` lists them. Its head gets one output per class."""
    pretrained: bool = False
    """Start from the library's ImageNet weights (downloaded), with the preprocessing they expect."""
    weights: str | None = None
    """Start from the model of a run folder, or from a local file (.safetensors, .pth, ...; loaded as weights only)."""
