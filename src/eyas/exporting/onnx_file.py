"""A whole classifier as ONNX: made from its graph, with what it says of itself, and run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from eyas.errors import ExportError, SettingsError
from eyas.exporting.graph import FAILURES, INPUT, NETWORK, OUTPUT, Answers, first_line, quiet

LARGEST = 2**31 - 2**24  # bytes: a protobuf message of 2 GiB cannot be written; the rest is for the graph
SCOPE = "pkg.torch.onnx.name_scopes"  # where torch notes which module a node comes from


def refuse_large(network: torch.nn.Module, model: str) -> None:
    """Raise `SettingsError` where the weights do not fit into one ONNX file."""
    size = sum(tensor.numel() * 4 for tensor in network.state_dict().values())
    if size > LARGEST:
        raise SettingsError(
            f"{model} has {size / 2**30:.1f} GiB of weights; one ONNX file holds less than 2. Use --format pt2."
        )


def to_onnx(program: ExportedProgram, model: str, opset: int, texts: dict[str, str]) -> tuple[Any, frozenset[str]]:
    """Return the ONNX model (a `ModelProto`), and the names of the nodes that belong to the network itself.

    The same model gives the same bytes: nothing in it tells of this machine. Raises `ExportError`.
    """
    try:
        with quiet():
            made = torch.onnx.export(
                program, dynamo=True, opset_version=opset, input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
        assert made is not None
        proto = made.model_proto
    except FAILURES as error:
        raise ExportError(f"{model} cannot be written as ONNX: torch.onnx says: {first_line(error)}") from error
    found = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), None)
    if found != opset:
        raise ExportError(f"{model} cannot be written in opset {opset}: torch.onnx wrote {found}. Use --opset {found}.")
    inner = set()
    for node in proto.graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPE), "")
        if f"'{NETWORK}'" in scopes or f"'{NETWORK}." in scopes:
            inner.add(node.name)
    label(proto, texts)
    return proto, frozenset(inner)


def relabel(path: Path, texts: dict[str, str]) -> None:
    """Write a file anew with these texts and no others."""
    import onnx

    proto = onnx.load(str(path))
    label(proto, texts)
    path.write_bytes(content_of(proto))


def label(proto: Any, texts: dict[str, str]) -> None:
    """Replace all notes of the libraries, which name their sources on this machine, by the texts."""
    from importlib.metadata import version

    graph = proto.graph
    inner = [part for function in proto.functions for part in (function, *function.node, *function.value_info)]
    outer = (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output)
    for part in (proto, graph, *outer, *inner):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    proto.producer_name, proto.producer_version = "eyas", version("eyas")
    for key, text in texts.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, text


def content_of(proto: Any) -> bytes:
    """Return the bytes of a model, the same for the same model."""
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def open_onnx(path: Path) -> Answers:
    """Return the function that an ONNX file holds, run by onnxruntime on the CPU. Raises `ExportError`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class
        raise ExportError(f"onnxruntime cannot open what was written: {first_line(error)}") from error

    def answers(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run([OUTPUT], {INPUT: images})[0]
        return found

    return answers
