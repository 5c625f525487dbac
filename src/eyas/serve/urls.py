"""What lies at a public address of the web: fetched without being led into the server's own network."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from eyas.serve.refusal import RefusalError

NOT_FETCHED = "An address could not be fetched: it must be a public http or https one that gives a picture in time."
REDIRECTS = 3
MOVED = (301, 302, 303, 307, 308)
PORTS = {"http": 80, "https": 443}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet: not private, loopback, link-local, multicast, reserved.

    IPv6 addresses that carry one of IPv4 in them are judged by that one.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Web:
    """How addresses are found and which may be gone to."""

    resolve: Callable[[str, int], list[str]] = resolved
    permitted: Callable[[Address], bool] = is_public


def fetch(url: str, *, most: int, seconds: float, web: Web | None = None) -> bytes:
    """Return the bytes at an http or https address, redirects followed.

    The name is resolved once and the connection made to the address that was looked at, so that a name cannot lead
    elsewhere the second time. Raises `RefusalError` 422 for what may not or cannot be fetched within `seconds`, with
    one message for all of it: it must not tell what is in the server's network. 413 for more than `most` bytes.
    """
    web, end = web or Web(), time.monotonic() + seconds
    try:
        for _ in range(REDIRECTS + 1):
            found = _asked(_parts(url), most, end, web)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
    except (OSError, ValueError, http.client.HTTPException):
        pass
    raise RefusalError(422, "not_fetched", NOT_FETCHED)


def _parts(url: str) -> SplitResult:
    """Return the parts of an address that may be asked; raises `ValueError`."""
    parts = urlsplit(url)
    if any(letter <= " " for letter in url):  # Python leaves line ends out, silently
        raise ValueError("not written as an address is")
    if parts.scheme not in PORTS or not parts.hostname or parts.username or parts.password:
        raise ValueError("no address that is fetched")
    return parts


def _asked(parts: SplitResult, most: int, end: float, web: Web) -> bytes | str:
    """Return the bytes at an address, or where it sends on to."""
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    addresses = web.resolve(host, port)
    if not addresses or not all(web.permitted(ipaddress.ip_address(address)) for address in addresses):
        raise ValueError("not public")
    with socket.create_connection((addresses[0], port), timeout=_left(end)) as bare:
        channel = bare
        if parts.scheme == "https":
            channel = ssl.create_default_context().wrap_socket(bare, server_hostname=host)
        with channel, _cut(channel, end):
            connection = http.client.HTTPConnection(host, port)  # knows nothing of proxies
            connection.sock = channel
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Accept": "image/*", "User-Agent": "eyas", "Connection": "close", "Host": parts.netloc}
            connection.request("GET", target, headers=headers)
            return _body(connection, channel, most, end)


@contextmanager
def _cut(channel: socket.socket, end: float) -> Iterator[None]:
    """Break a connection off at `end`: a timeout of the socket's own begins anew with every byte that drips in."""

    def cut() -> None:
        with suppress(OSError):
            channel.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_left(end), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _body(connection: http.client.HTTPConnection, channel: socket.socket, most: int, end: float) -> bytes | str:
    channel.settimeout(_left(end))
    with closing(connection.getresponse()) as response:
        if response.status in MOVED:
            return response.headers["Location"] or ""
        if response.status != 200:
            raise ValueError("no picture")
        parts, have = [], 0
        while have <= most and (part := response.read1(65536)):
            parts.append(part)
            have += len(part)
            channel.settimeout(_left(end))
    _left(end)  # a connection that was cut off then looks like one that is at its end
    if have > most:
        raise RefusalError(413, "too_large", f"The picture at an address has more than {most / 1e6:g} MB.")
    return b"".join(parts)


def _left(end: float) -> float:
    """Return the seconds until `end`; raises `TimeoutError` where there are none."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
