"""Settings of the network."""

from __future__ import annotations

from eyas.settings import Section


class ModelConfig(Section):
    """Which network, and which weights it starts from."""

    model: str = "alexnet"
    """Name of a network: see `eyas models`. Its head is made to fit the classes."""
    pretrained: bool = False
    """Start from the library's ImageNet weights (downloaded), with the preprocessing that they expect."""
    weights: str | None = None
    """Start from the model of a run folder, or from a local file of weights (.safetensors, or .pth and the like, read
    without running code). The head keeps the classes of the same names."""
