"""What a server refuses, with which status, and what it goes on doing meanwhile."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

import httpx
import pytest
import torch
from tests import hostile
from tests.scenes import scene
from tests.serve.servers import Asking, classifier_of, error_of, file_of, held, serving, wait_for
from torch import nn

PART = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\nx\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def raw(port: int, *parts: bytes) -> bytes:
    """Return what a server answers to bytes, read until it closes or has answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        for part in parts:
            line.sendall(part)
        return line.recv(65536)


# Too large


def test_a_request_that_says_that_it_is_too_large_is_refused_unread(running):
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000001\r\n\r\n"
    assert raw(running.port, head.encode()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=b"])
def test_a_request_that_does_not_say_how_large_it_is_is_refused_while_it_is_read(running, kind):
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while sent < 200e6:  # far more than is held anywhere on the way
            sent += 50_000
            yield bytes(50_000)

    try:
        response = running.client.post("/predict", content=endless(), headers={"Content-Type": kind})
        assert error_of(response) == (413, "too_large")
    except httpx.TransportError:  # the server hung up on an upload that does not end
        assert running.service.metrics.requests.labels("/predict", "413")._value.get() >= 1
    assert running.service.gate.bytes == 0


def test_as_many_bytes_as_are_allowed_are_taken(running):
    assert error_of(running.ask(bytes(1_000_000))) == (415, "unknown_kind")
    assert error_of(running.ask(bytes(1_000_001))) == (413, "too_large")


def test_too_many_pictures_are_refused(running, picture):
    assert running.client.post("/predict", files=[("files", picture)] * 4).status_code == 200
    assert error_of(running.client.post("/predict", files=[("files", picture)] * 5)) == (422, "too_many_pictures")


def test_requests_that_are_read_together_may_not_take_more_memory_than_is_set(picture):
    with serving(classifier_of(), max_mb=1) as running:
        assert running.service.gate.memory == 512e6
        running.service.gate.memory = 1e6
        head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 900000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", running.port)) as slow:
            slow.sendall(head.encode() + bytes(800_000))
            wait_for(lambda: running.service.gate.bytes == 800_000)
            assert error_of(running.ask(bytes(300_000))) == (503, "busy")
            assert running.ask(picture).status_code == 200
        wait_for(lambda: running.service.gate.bytes == 0)
        assert error_of(running.ask(bytes(300_000))) == (415, "unknown_kind")


# Not what is read


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.7", b"<svg></svg>", b"P", bytes(100), b"GIF"])
def test_what_is_no_image_that_is_read_is_refused_by_its_kind(running, data):
    assert error_of(running.ask(data)) == (415, "unknown_kind")


def test_a_damaged_image_is_refused_as_damaged(running):
    whole = file_of(scene(1, (64, 64)), "JPEG")
    for data in (whole[:500], whole[:3], b"\x89PNG\r\n\x1a\n" + bytes(50), b"BM" + bytes(60)):
        assert error_of(running.ask(data)) == (422, "unreadable")


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [(hostile.png_bomb, "more than 64 million"), (lambda: hostile.jpeg_scans(20_000), "a JPEG of 20,0")],
    ids=["pixels", "scans"],
)
def test_an_image_that_would_take_much_memory_or_time_is_refused_before_it_is_decoded(running, bomb, reason):
    response = running.ask(bomb())
    assert error_of(response) == (422, "unreadable")
    assert reason in response.json()["error"]["message"], "what its header says, not how its decoding failed"


def test_one_bad_file_among_good_ones_is_named(running, picture):
    files = [("files", ("good.png", picture)), ("files", ("bad.png", picture[:100]))]
    response = running.client.post("/predict", files=files)
    assert error_of(response) == (422, "unreadable")
    assert response.json()["error"]["message"].startswith("bad.png: cannot be decoded: ")


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "multipart/mixed; boundary=b"])
def test_a_request_of_another_kind_is_refused(running, picture, kind):
    response = running.client.post("/predict", content=picture, headers={"Content-Type": kind})
    assert error_of(response) == (415, "unknown_request")


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"Content-Type": "multipart/form-data"}, b"", (400, "malformed")),
        (FORM, b"rubbish", (400, "malformed")),
        (FORM, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", (400, "malformed")),
        (FORM, b"--b--\r\n", (422, "no_picture")),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n', (422, "no_picture")),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n--b--\r\n',
         (422, "unknown_field")),
        (FORM, PART % b"file" + PART % b"files" + b"--b--\r\n", (422, "unknown_field")),
        ({"Content-Type": "image/png"}, b"", (422, "no_picture")),
    ],
)  # fmt: skip
def test_a_request_without_a_picture_is_told_what_it_lacks(running, headers, body, found):
    assert error_of(running.client.post("/predict", content=body, headers=headers)) == found


@pytest.mark.parametrize("query", ["top=0", "top=5", "top=-1", "top=x", "top=", "heatmap=perhaps", "topk=3", "Top=1"])
def test_a_wrong_parameter_is_refused(running, picture, query):
    response = running.client.post(f"/predict?{query}", files={"file": picture})
    assert error_of(response) == (422, "wrong_parameters")
    assert query.partition("=")[0] in response.json()["error"]["message"]


def test_addresses_and_methods_that_are_not_there(running):
    assert error_of(running.client.get("/nothing")) == (404, "not_found")
    assert error_of(running.client.get("/../../etc/passwd")) == (404, "not_found")
    assert error_of(running.client.get("/examples/0")) == (404, "not_found")
    wrong = running.client.get("/predict")
    assert error_of(wrong) == (405, "wrong_method")
    assert wrong.headers["allow"] == "POST"


def test_no_answer_tells_of_the_server(running):
    """Whatever is sent: no path, no address of an object, no library's file, no traceback."""
    telling = re.compile(r"0x[0-9a-f]{6}|Traceback|\.py\b|site-packages|/(?:home|usr|tmp|root|work|var)/|BytesIO")
    bad = [hostile.png_bomb(), hostile.png_text_bomb(b"zTXt"), hostile.png(8, 8, data=b""), b"", b"\0" * 64]
    whole = [file_of(scene(1, (32, 32)), kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM")]
    bad += [data[:cut] for data in whole for cut in (20, len(data) // 2, len(data) - 3)]
    for data in bad:
        response = running.ask(data)
        assert response.status_code in (200, 415, 422)
        assert not telling.search(response.text), response.text


# Too much at once


def test_a_full_queue_is_refused_and_what_is_in_it_is_answered(picture):
    with held(queue=3, max_files=2) as (running, network):
        asked = [Asking(running, picture)]
        assert network.busy.wait(60)
        asked += [Asking(running, picture) for _ in range(2)]
        wait_for(lambda: len(running.service.batcher) == 2)
        refused = running.ask(picture)
        assert error_of(refused) == (503, "busy")
        assert refused.headers["retry-after"] == "1"
        assert running.client.get("/health").json() == {"status": "ok"}
        metrics = running.client.get("/metrics").text
        assert "eyas_queue_pictures 2.0" in metrics
        assert "eyas_in_work_pictures 3.0" in metrics
        network.go.set()
        assert [one.response().status_code for one in asked] == [200] * 3
        assert network.seen == [1, 2]
        assert running.ask(picture).status_code == 200


def test_a_request_with_more_pictures_than_there_is_room_for_is_refused_whole(picture):
    with held(queue=3, max_files=3) as (running, network):
        asked = Asking(running, picture)
        assert network.busy.wait(60)
        assert error_of(running.client.post("/predict", files=[("files", picture)] * 3)) == (503, "busy")
        network.go.set()
        assert asked.response().status_code == 200
    assert network.seen == [1]


def test_requests_that_have_not_arrived_take_places_too(picture):
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
    with serving(classifier_of(), queue=2, max_files=2) as running, contextlib.ExitStack() as lines:
        for _ in range(2):
            lines.enter_context(socket.create_connection(("127.0.0.1", running.port))).sendall(head.encode())
        wait_for(lambda: running.service.gate.requests == 2)
        refused = running.ask(picture)
        assert error_of(refused) == (503, "busy")
        assert refused.headers["retry-after"] == "1"
        lines.close()
        wait_for(lambda: not running.service.gate.requests)
        assert running.ask(picture).status_code == 200


def test_what_comes_too_late_is_said_so_and_is_not_computed(picture):
    with held(timeout=2) as (running, network):
        first = Asking(running, picture)
        assert network.busy.wait(60)
        assert error_of(running.ask(picture)) == (503, "too_late")
        assert error_of(first.response()) == (503, "too_late")
        network.go.set()
        assert running.ask(picture).status_code == 200
    assert network.seen == [1, 1]  # the first, on which it was at work, and the last


def test_what_nobody_waits_for_any_more_is_not_computed(picture):
    with held() as (running, network):
        first = Asking(running, picture)
        assert network.busy.wait(60)
        with socket.create_connection(("127.0.0.1", running.port)) as line:
            head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(picture)}\r\n\r\n"
            line.sendall(head.encode() + picture)
            wait_for(lambda: len(running.service.batcher) == 1)
        wait_for(lambda: running.service.gate.pictures == 1)
        network.go.set()
        assert first.response().status_code == 200
        assert running.ask(picture).status_code == 200
    assert network.seen == [1, 1]


def test_a_request_that_does_not_arrive_is_given_up(picture):
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
    with serving(classifier_of(), timeout=0.3) as running:
        assert raw(running.port, head.encode(), bytes(10)).startswith(b"HTTP/1.1 408 ")
        assert running.service.gate.bytes == 0


def test_a_server_that_stops_refuses_what_comes(running, picture):
    with serving(classifier_of()) as stopping:
        assert stopping.client.get("/ready").status_code == 200
        stopping.service.gate.stopping = True
        assert error_of(stopping.ask(picture)) == (503, "stopping")
        assert error_of(stopping.client.get("/ready")) == (503, "stopping")
        assert stopping.client.get("/health").json() == {"status": "stopping"}


# A network that fails


class Picky(nn.Module):
    """A network that fails for dark pictures."""

    def __init__(self, failure: str) -> None:
        super().__init__()
        self.weights, self.failure = nn.Linear(3, 4), failure

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = images.mean((2, 3))
        if self.failure == "raises" and bool((means.mean(1) < -1).any()):
            raise RuntimeError("/secret/path: the network broke")
        answer: torch.Tensor = self.weights(means)
        return answer / (means.mean(1, keepdim=True) > -1)


@pytest.mark.parametrize("failure", ["raises", "is not finite"])
def test_a_network_that_fails_for_one_picture_answers_for_the_others(picture, failure, caplog):
    dark = file_of(scene(1, (32, 32)).point(lambda value: 0))
    with serving(classifier_of(Picky(failure))) as running:
        response = running.ask(dark)
        assert error_of(response) == (500, "failed")
        assert "secret" not in response.text
        assert running.ask(picture).status_code == 200
        both = running.client.post("/predict", files=[("files", picture), ("files", dark)])
        assert error_of(both) == (500, "failed")
        assert running.ask(picture).status_code == 200
        assert response.headers["x-content-type-options"] == "nosniff"
    assert "A request failed." in caplog.text


# Around every request


@pytest.mark.parametrize("path", ["/", "/page.js", "/health", "/nothing", "/openapi.json", "/metrics"])
def test_every_answer_has_the_headers_that_keep_a_browser_safe(running, path):
    headers = running.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert not {"server", "access-control-allow-origin", "set-cookie"} & set(headers)


@pytest.mark.parametrize(
    ("host", "status"),
    [("birds.example", 200), ("BIRDS.example:8000", 200), ("[::1]:80", 200), ("evil.example", 400), ("", 400)],
)
def test_a_server_that_is_told_its_names_refuses_others(host, status):
    with serving(classifier_of(), allow_host=("birds.example", "::1")) as running:
        response = running.client.get("/health", headers={"Host": host})
        assert response.status_code == status
        if status == 400:
            assert error_of(response) == (400, "wrong_host")


def test_what_is_counted_does_not_grow_with_addresses_that_are_made_up(running):
    for number in range(3):
        running.client.get(f"/made-up-{number}")
    text = running.client.get("/metrics").text
    assert "made-up" not in text
    assert re.search(r'eyas_requests_total\{code="404",path="other"\} [3-9]', text)


def test_the_metrics_count_pictures_and_batches(picture):
    with serving(classifier_of()) as running:
        assert running.client.post("/predict", files=[("files", picture)] * 3).status_code == 200
        text = running.client.get("/metrics").text
    assert "eyas_pictures_total 3.0" in text
    assert "eyas_batch_pictures_sum 3.0" in text
    assert 'eyas_requests_total{code="200",path="/predict"} 1.0' in text
    assert 'eyas_request_seconds_count{path="/predict"} 1.0' in text


def test_limits_that_contradict_each_other_are_told():
    from eyas import EyasError
    from eyas.config.serve import ServeConfig

    with pytest.raises(EyasError, match="--queue 4: has no room"):
        ServeConfig(queue=4, max_files=5).checked()
    with pytest.raises(EyasError, match="--batch-size 0"):
        ServeConfig(batch_size=0)
