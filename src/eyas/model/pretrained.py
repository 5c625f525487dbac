"""Published weights of torchvision's and timm's networks, by the libraries' own downloads."""

from __future__ import annotations

import contextlib
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from eyas.errors import CheckpointError, FileError
from eyas.model.fitting import fill
from eyas.model.weights import State, Weights, weights_in
from eyas.model.zoo import find_model, torchvision_weights

PATIENCE = 15.0  # seconds that a download host may be silent


def load_pretrained(model: nn.Module, name: str) -> str:
    """Put the published weights of the network `name` into `model`, in place; return a sentence that says so.

    torchvision's and timm's own code downloads them and checks them, into their own caches. Raises `FileError` where
    the host cannot be reached and `CheckpointError` where there are none, or what came is damaged or does not fit.
    """
    found = find_model(name)
    if found.library == "eyas":
        raise CheckpointError(f"There are no published weights of {found.name}; train it without --pretrained.")
    if found.library == "torchvision":
        entry = torchvision_weights(found.name)
        return fill(model, Weights(f"torchvision's {entry}", {"": download_state(entry.url)})).sentence
    # timm's own code converts the authors' names and layouts
    import timm
    from huggingface_hub import constants, try_to_load_from_cache

    name = found.name
    published = timm.models.get_pretrained_cfg(name)
    if published is None or not published.has_weights:
        raise CheckpointError(f"timm has no published weights of {name}; train it without --pretrained.")
    cached = None
    if published.hf_hub_id:  # huggingface_hub asks the network even for a file in its cache
        repository, _, revision = published.hf_hub_id.partition("@")
        file = published.hf_hub_filename or "model.safetensors"
        cached = try_to_load_from_cache(repository, file, revision=revision or None)
    overlay = {"file": cached} if isinstance(cached, str) else None
    try:
        if overlay is None and published.hf_hub_id:
            # ask the hub once: without a network huggingface_hub itself tries for 46 seconds before it gives up
            request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
            with contextlib.suppress(urllib.error.HTTPError):  # any answer, even a refusal, is an answer
                urllib.request.urlopen(request, timeout=PATIENCE).close()
        with _patience():
            network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except OSError as error:  # huggingface_hub's and urllib's errors of the network are of this kind
        raise _unreachable(f"timm's weights of {name}", error) from error
    except RuntimeError as error:
        raise CheckpointError(f"timm's weights of {name} cannot be loaded: {_first_line(error)}.") from error
    return fill(model, Weights(f"timm's {name}", {"": network.state_dict()})).sentence


def download_state(url: str, *, folder: Path | None = None) -> State:
    """Return the weights that `url` (`NAME-HASH.pth`) serves, checked, kept in torch's cache or `folder`.

    Raises `FileError` where the host cannot be reached, `CheckpointError` where what came is not what the name says.
    """
    try:
        with _patience():
            content = torch.hub.load_state_dict_from_url(
                url, model_dir=None if folder is None else str(folder), map_location="cpu", check_hash=True,
                progress=sys.stderr.isatty(), weights_only=True,
            )  # fmt: skip
    except OSError as error:  # URLError, HTTPError and time-outs are of this kind
        raise _unreachable(url, error) from error
    except Exception as error:  # a wrong hash is a RuntimeError; what a damaged cached file raises has no common kind
        raise CheckpointError(
            f"{url}: what was downloaded is damaged ({_first_line(error)}). "
            "Try again, or give a file with --weights FILE."
        ) from error
    return weights_in(content, url).states[""]  # published ones are not wrapped


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Let no connection be silent for longer than `PATIENCE`; torch.hub sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _unreachable(what: str, error: OSError) -> FileError:
    return FileError(
        f"{what}: cannot be downloaded ({_first_line(error)}). Without a network, fetch the file on another "
        "machine and give it with --weights FILE."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
