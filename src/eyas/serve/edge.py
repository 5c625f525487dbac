"""Around every request: the host it is for, the headers of its answer, and its counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eyas.serve.limits import Gate
from eyas.serve.metrics import Metrics
from eyas.serve.refusal import MEANINGS, RefusalError

PREDICT = "/predict"
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Edge:
    """The outermost middleware. A request for a host that is not in `hosts` (where there are any) is refused.

    So is what `gate` has no room for: under ten times the load that a server can bear it mostly refuses, and refusing
    must cost little.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, gate: Gate, paths: Iterable[str], hosts: Iterable[str]
    ) -> None:
        self.app, self.metrics, self.gate = app, metrics, gate
        self.paths, self.hosts = frozenset(paths), frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began = time.monotonic()
        status: int | None = None

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in {"Content-Security-Policy": NOTHING, **HEADERS}.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            host = Headers(scope=scope).get("host", "").lower()
            name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
            if self.hosts and name not in self.hosts:
                raise RefusalError(400, "wrong_host", "This server does not go by the name that the request is for.")
            if scope["path"] == PREDICT and scope["method"] == "POST":
                self.gate.check()
            await self.app(scope, receive, sending)
        except RefusalError as error:
            await failed(error)(scope, receive, sending)
        except Exception:
            logging.getLogger("eyas.serve").exception("A request failed.")
            if status is not None:  # half of an answer is on its way: let the server break it off
                raise
            await failed(RefusalError(500, "failed", MEANINGS[500]))(scope, receive, sending)
        finally:
            # what is at no known address counts together: an address that is made up must not become a new row
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.record(path, status or 500, time.monotonic() - began)


def failed(refusal: RefusalError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer that a refusal is."""
    body = {"error": {"code": refusal.code, "message": refusal.message}}
    return JSONResponse(body, refusal.status, {**refusal.headers, **(headers or {})})
