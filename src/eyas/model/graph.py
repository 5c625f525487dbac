"""A network as the graph that TensorBoard shows."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings

import torch
from torch import nn


def graph_of(network: nn.Module, shape: tuple[int, ...]) -> bytes:
    """Return a serialised TensorBoard `GraphDef` of a network for an input of `shape`; b"" where it cannot be traced.

    A copy of the network is traced on the CPU: neither it nor any random number is changed.
    """
    from torch.utils.tensorboard._pytorch_graph import graph

    plain = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format).eval()
    with (
        torch.random.fork_rng(devices=[]),
        torch.no_grad(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),  # the library prints its errors
    ):
        warnings.simplefilter("ignore")  # of tracing itself, and of branches that depend on a shape
        try:
            drawn, _ = graph(plain, (torch.zeros(shape),))  # type: ignore[no-untyped-call]
        except Exception:  # whatever a network does that cannot be traced: it is only not shown
            return b""
    return bytes(drawn.SerializeToString())
