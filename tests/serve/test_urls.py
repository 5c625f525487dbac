"""Addresses of pictures: only the public web, whatever a name or a redirect says."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.serve.servers import classifier_of, error_of, serving

from eyas.serve.refusal import RefusalError
from eyas.serve.urls import Web, fetch, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:c0a8:101::",
    ],
)  # fmt: skip
def test_an_address_of_a_network_of_ones_own_is_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(ipaddress.ip_address(address))


class Site(BaseHTTPRequestHandler):
    """Gives a picture, sends on, drips, or is too large."""

    def do_GET(self) -> None:
        name, _, rest = self.path.strip("/").partition("/")
        if name == "to":
            self.send_response(302)
            self.send_header("Location", rest)
            self.end_headers()
            return
        self.send_response(200 if name in ("picture", "large", "drip") else 404)
        self.end_headers()
        if name == "drip":
            for _ in range(100):
                time.sleep(0.05)
                self.wfile.write(b"x")
        self.wfile.write(bytes(200_000) if name == "large" else self.headers["Host"].encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def web(*addresses: str, permitted: Callable[[object], bool] = lambda address: True) -> Web:
    """Return a web in which names mean these addresses, one after the other."""
    left = list(addresses)
    return Web(lambda host, port: [left.pop(0)], permitted)


def refused(url: str, most: int = 1000, seconds: float = 60, web: Web | None = None) -> tuple[int, str]:
    with pytest.raises(RefusalError) as error:
        fetch(url, most=most, seconds=seconds, web=web)
    return error.value.status, error.value.code


def test_what_lies_at_an_address_is_fetched_also_over_redirects(port):
    assert fetch(f"http://birds.example:{port}/picture", most=100, seconds=60, web=web("127.0.0.1")) == (
        f"birds.example:{port}".encode()
    )
    assert fetch(f"http://birds.example:{port}/to//picture", most=100, seconds=60, web=web(*["127.0.0.1"] * 2))


def test_a_name_is_looked_up_once_and_gone_to_where_it_was_looked_up(port):
    """The second look-up would lead elsewhere, as a name does whose owner means ill; it is not made."""
    one = web("127.0.0.1")
    assert fetch(f"http://rebinding.example:{port}/picture", most=100, seconds=60, web=one)


def test_a_server_of_ones_own_network_is_not_asked(port):
    for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "2130706433", "0x7f000001"):
        assert refused(f"http://{host}:{port}/picture") == (422, "not_fetched")


def test_a_name_with_one_address_of_ones_own_is_not_asked(port):
    asked: list[str] = []
    both = Web(lambda host, port: asked.append(host) or ["8.8.8.8", "127.0.0.1"])
    assert refused(f"http://both.example:{port}/picture", web=both) == (422, "not_fetched")
    assert asked == ["both.example"]


def test_a_redirect_into_ones_own_network_is_not_followed(port):
    allowed = [ipaddress.ip_address("127.0.0.1")]
    once = web("127.0.0.1", "127.0.0.1", permitted=lambda address: bool(allowed and allowed.pop()))
    assert refused(f"http://birds.example:{port}/to//picture", web=once) == (422, "not_fetched")
    assert not allowed


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://birds.example/a", "gopher://birds.example/", "http://", "birds.example", "",
        "http://user:word@birds.example/", "http://birds.example:99999/", "http://a\nb/", "http://[::1/",
        "data:image/png;base64,xx",
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_not_asked(url):
    assert refused(url, web=Web(lambda host, port: pytest.fail("it was looked up"))) == (422, "not_fetched")


def test_going_round_in_circles_ends(port):
    assert refused(f"http://a.example:{port}/to//to//to//to//to//picture", web=web(*["127.0.0.1"] * 9))[0] == 422


def test_a_picture_that_is_too_large_is_not_read_to_its_end(port):
    assert refused(f"http://birds.example:{port}/large", web=web("127.0.0.1")) == (413, "too_large")


@pytest.mark.parametrize("path", ["drip", "nothing"])
def test_a_host_that_drips_or_has_nothing_is_given_up(port, path):
    """The one that drips has all of its picture in the end: it would be fetched if nothing cut it off."""
    assert refused(f"http://birds.example:{port}/{path}", seconds=0.3, web=web("127.0.0.1")) == (422, "not_fetched")


def test_a_host_that_is_silent_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://birds.example:{silent.getsockname()[1]}/"
        assert refused(url, seconds=0.3, web=web("127.0.0.1")) == (422, "not_fetched")


def test_a_server_takes_addresses_only_where_it_is_told_to(running, port):
    body = {"urls": [f"http://127.0.0.1:{port}/picture"]}
    refused = running.client.post("/predict", json=body)
    assert error_of(refused) == (415, "unknown_request")
    assert "Addresses of pictures are switched off here (eyas serve --allow-urls" in refused.json()["error"]["message"]
    with serving(classifier_of(), allow_urls=True, max_files=2) as taking:
        assert error_of(taking.client.post("/predict", json=body)) == (422, "not_fetched")
        assert error_of(taking.client.post("/predict", json={"urls": body["urls"] * 3})) == (422, "too_many_pictures")
        for wrong in ({}, {"urls": []}, {"urls": "x"}, [], {"urls": [1]}):
            assert error_of(taking.client.post("/predict", json=wrong)) == (422, "wrong_body")
        assert "application/json" in taking.client.get("/openapi.json").text
        assert taking.client.get("/about").json()["limits"]["urls"] is True
