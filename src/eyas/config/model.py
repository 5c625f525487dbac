"""Settings of the network."""

from __future__ import annotations

from eyas.config.section import Section


class ModelConfig(Section):
    """Which network, and which weights it starts from."""

    model: str = "alexnet"
    """Name of a network: see `eyas models`. Its head is made to fit the classes."""
    pretrained: bool = False
    """Start from the library's ImageNet weights (downloaded), with the preprocessing that they expect."""
    weights: str | None = None
    """Start from a run folder's model or a local file of weights (.safetensors, .pth and the like; no code is run)."""
