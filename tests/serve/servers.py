"""Servers of small networks, at real ports of this machine."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import torch
from PIL import Image
from torch import Tensor, nn

from eyas import Classifier, Preprocess
from eyas.config.serve import ServeConfig
from eyas.model.zoo import build
from eyas.serve.service import Service
from eyas.verbs.serve import make_server

CLASSES = ("<b>heron</b>", "reed warbler", "白鹭", "kite")


class Held(nn.Module):
    """A network that answers when it is let: `seen` are the sizes of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.network = build("compact", len(CLASSES))
        self.go, self.busy = threading.Event(), threading.Event()
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        self.busy.set()
        assert self.go.wait(60)
        answer: Tensor = self.network(images)
        return answer


@dataclass
class Running:
    """A server that runs: its service, and a client that is connected to it."""

    service: Service
    client: httpx.Client
    port: int

    def ask(self, data: bytes, **query: Any) -> httpx.Response:
        return self.client.post("/predict", content=data, headers={"Content-Type": "image/png"}, params=query)


def classifier_of(network: nn.Module | None = None, **preprocess: Any) -> Classifier:
    torch.manual_seed(0)
    network = network or build("compact", len(CLASSES))
    return Classifier(network.eval(), "compact", CLASSES, Preprocess(**{"size": 32, **preprocess}))


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of an answer that is none, whose body has the one form."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert body["error"]["message"]
    return response.status_code, body["error"]["code"]


@contextlib.contextmanager
def serving(classifier: Classifier, **config: Any) -> Iterator[Running]:
    """Serve a classifier for the time of the block."""
    service = Service(classifier, ServeConfig(**config).checked())
    server = make_server(service)
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                yield Running(service, client, port)
        finally:
            server.should_exit = True
            thread.join(60)
            service.close()


@contextlib.contextmanager
def held(**config: Any) -> Iterator[tuple[Running, Held]]:
    """Serve a network that is let go at the end of the block at the latest."""
    network = Held()
    with serving(classifier_of(network), **config) as running:
        try:
            yield running, network
        finally:
            network.go.set()


class Asking:
    """A request in a thread of its own."""

    def __init__(self, running: Running, data: bytes) -> None:
        self.responses: list[httpx.Response] = []
        self.thread = threading.Thread(target=lambda: self.responses.append(self._ask(running.port, data)))
        self.thread.start()

    @staticmethod
    def _ask(port: int, data: bytes) -> httpx.Response:
        url = f"http://127.0.0.1:{port}/predict"
        return httpx.post(url, content=data, headers={"Content-Type": "image/png"}, timeout=60, trust_env=False)

    def response(self) -> httpx.Response:
        self.thread.join(60)
        return self.responses[0]


def wait_for(said: Callable[[], bool]) -> None:
    """Wait until something is so; fail where it is not within a minute."""
    waiting = threading.Event()
    for _ in range(6000):
        if said():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not become so within a minute")
