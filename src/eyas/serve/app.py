"""The HTTP interface of a classifier: its addresses, their parameters, and every answer that can come."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from eyas.errors import suggest
from eyas.serve.edge import PAGE, PREDICT, Edge, failed
from eyas.serve.metrics import CONTENT_TYPE
from eyas.serve.refusal import MEANINGS, RefusalError
from eyas.serve.schema import About, Answers, Failed, State
from eyas.serve.service import GoneError, Service

PAGE_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
CLIENT_GONE = 499  # nobody reads it; the metrics count it


def make_app(service: Service) -> FastAPI:
    """Return the application; `service` is closed by whoever made it."""
    about = "Send pictures, get their classes. Every answer that is none has the body `Failed`."
    # FastAPI's own pages of documentation load from other hosts
    app = FastAPI(title="eyas", version=version("eyas"), description=about, docs_url=None, redoc_url=None)
    add_predict(app, service)
    add_states(app, service)
    add_page(app, service)
    for kind in (RefusalError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, refused)
    paths = {path for route in app.routes if (path := getattr(route, "path", "")) and "{" not in path}
    app.add_middleware(Edge, metrics=service.metrics, gate=service.gate, paths=paths, hosts=service.config.allow_host)
    return app


def add_predict(app: FastAPI, service: Service) -> None:
    """Add the address that classifies pictures."""
    classes = len(service.classifier.classes)
    picture = {"type": "string", "format": "binary"}
    several = {"type": "array", "items": picture, "minItems": 1, "maxItems": service.config.max_files}
    form = {
        "type": "object", "properties": {"file": several, "files": several}, "additionalProperties": False,
        "minProperties": 1, "maxProperties": 1,  # either name will do, for one picture and for several
    }  # fmt: skip
    kinds = {"multipart/form-data": form, "image/*": picture, "application/octet-stream": picture}
    body = {"required": True, "content": {kind: {"schema": schema} for kind, schema in kinds.items()}}

    @app.post(
        PREDICT, response_model=Answers, summary="What pictures show.", openapi_extra={"requestBody": body},
        responses=fails(400, 408, 413, 415, 422, 500, 503),
    )  # fmt: skip
    async def predict(
        request: Request,
        top: int = Query(min(5, classes), ge=1, le=classes, description="How many of the likeliest classes."),
        heatmap: bool = Query(False, description="Also where the network looks, as a picture."),
    ) -> Response:
        known = ("top", "heatmap")
        for name in request.query_params:  # `topk=3` is a mistake, not a wish to have the default
            if name not in known:
                message = f"{name[:40]}: there is no such parameter.{suggest(name, known)}"
                raise RefusalError(422, "wrong_parameters", message)
        try:
            return Response(await service.answer(request, top=top, mapped=heatmap), media_type="application/json")
        except GoneError:
            return Response(status_code=CLIENT_GONE)


def add_states(app: FastAPI, service: Service) -> None:
    """Add the addresses that tell how the server is and what it serves."""
    classifier, config = service.classifier, service.config

    @app.get("/health", response_model=State, summary="Whether the process is well.", responses=fails(400, 500, 503))
    async def health() -> dict[str, str]:
        if not service.gate.stopping and not service.batcher.alive:
            raise RefusalError(503, "broken", "The server must be started anew.")
        return {"status": "stopping" if service.gate.stopping else "ok"}

    @app.get("/ready", response_model=State, summary="Whether it answers requests.", responses=fails(400, 500, 503))
    async def ready() -> dict[str, str]:
        if not service.ready:
            raise RefusalError(503, "stopping", "The server is stopping.")
        return {"status": "ok"}

    @app.get("/about", response_model=About, summary="What answers here.", responses=fails(400, 500))
    async def about() -> Response:
        said = {
            "model": classifier.model,
            "classes": list(classifier.classes),
            "preprocessing": classifier.preprocess.in_words(),
            "limits": {"max_mb": config.max_mb, "max_files": config.max_files, "timeout": config.timeout},
            "examples": [
                {"address": f"examples/{place}", "label": one.label} for place, one in enumerate(service.examples)
            ],
            "version": app.version,
        }
        return Response(json.dumps(said), media_type="application/json")

    said = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **fails(400, 500)}

    @app.get("/metrics", response_class=Response, summary="Counts, for Prometheus.", responses=said)
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def add_page(app: FastAPI, service: Service) -> None:
    """Add the page for the browser, and the pictures that it offers."""

    def add(path: str, content: bytes, kind: str) -> None:
        headers = {"Content-Security-Policy": PAGE, "Cache-Control": "no-cache", "Content-Type": kind}

        async def page() -> Response:
            return Response(content, headers=headers)

        app.add_api_route(path, page, include_in_schema=False)

    for path, (name, kind) in PAGE_FILES.items():
        add(path, (Path(__file__).parent / "page" / name).read_bytes(), kind)
    picture = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
    shown = {200: picture, **fails(400, 404, 422, 500)}

    @app.get("/examples/{number}", response_class=Response, summary="A picture to try.", responses=shown)
    async def example(number: int) -> Response:
        if not 0 <= number < len(service.examples):
            raise RefusalError(404, "not_found", MEANINGS[404])
        return Response(service.examples[number].jpeg, media_type="image/jpeg")


async def refused(request: Request, error: Exception) -> Response:
    """Give every failure the one body, with nothing of the server in it; unforeseen ones are answered by `Edge`."""
    if isinstance(error, RequestValidationError):
        words = "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors())
        return failed(RefusalError(422, "wrong_parameters", words))
    if isinstance(error, HTTPException):
        code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "refused")
        message = MEANINGS.get(error.status_code, "The request is refused.")
        return failed(RefusalError(error.status_code, code, message), error.headers)
    assert isinstance(error, RefusalError)
    return failed(error)


def fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of answers that are none."""
    return {status: {"model": Failed, "description": MEANINGS[status]} for status in statuses}
