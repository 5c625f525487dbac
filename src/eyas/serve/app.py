"""The HTTP face of a classifier: its addresses, what may be asked there, and what every answer can be."""

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
PREDICT_FAILS = (400, 408, 413, 415, 422, 500, 503)
CLIENT_GONE = 499  # nobody reads it; the metrics count it


def make_app(service: Service) -> FastAPI:
    """Return the application; `service` is closed by whoever made it."""
    about = "Send pictures, get their classes. Every answer that is none has the body `Failed`."
    app = FastAPI(
        title="eyas", version=version("eyas"), description=about,
        docs_url=None, redoc_url=None,  # both load from other hosts
    )  # fmt: skip
    _add_answers(app, service)
    _add_states(app, service)
    _add_page(app, service)
    _add_failures(app)
    paths = {path for route in app.routes if (path := getattr(route, "path", "")) and "{" not in path}
    app.add_middleware(Edge, metrics=service.metrics, gate=service.gate, paths=paths, hosts=service.config.allow_host)
    return app


def _add_answers(app: FastAPI, service: Service) -> None:
    classes = len(service.classifier.classes)

    @app.post(
        PREDICT, response_model=Answers, summary="What pictures show.", responses=_fails(*PREDICT_FAILS),
        openapi_extra={"requestBody": _request_body(service)},
    )  # fmt: skip
    async def predict(
        request: Request,
        top: int = Query(min(5, classes), ge=1, le=classes, description="How many of the likeliest classes."),
        heatmap: bool = Query(False, description="Also where the network looks, as a picture."),
    ) -> Response:
        _refuse_unknown(request, {"top", "heatmap"})
        try:
            return Response(await service.answer(request, top=top, mapped=heatmap), media_type="application/json")
        except GoneError:
            return Response(status_code=CLIENT_GONE)


def _request_body(service: Service) -> dict[str, Any]:
    """Return what OpenAPI says of the pictures in a request."""
    picture = {"type": "string", "format": "binary"}
    several = {"type": "array", "items": picture, "minItems": 1, "maxItems": service.config.max_files}
    form = {
        "type": "object",
        "properties": {"file": several, "files": several},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,  # either name will do, for one picture and for several
    }
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    content |= {kind: {"schema": picture} for kind in ("image/*", "application/octet-stream")}
    return {"required": True, "content": content}


def _add_states(app: FastAPI, service: Service) -> None:
    classifier, config = service.classifier, service.config

    @app.get("/health", response_model=State, summary="Whether the process is well.", responses=_fails(400, 500, 503))
    async def health() -> dict[str, str]:
        if not service.gate.stopping and not service.batcher.alive:
            raise RefusalError(503, "broken", "The server must be started anew.")
        return {"status": "stopping" if service.gate.stopping else "ok"}

    @app.get("/ready", response_model=State, summary="Whether it answers requests.", responses=_fails(400, 500, 503))
    async def ready() -> dict[str, str]:
        if not service.ready:
            raise RefusalError(503, "stopping", "The server is stopping.")
        return {"status": "ok"}

    @app.get("/about", response_model=About, summary="What answers here.", responses=_fails(400, 500))
    async def about() -> Response:
        said = {
            "model": classifier.model,
            "classes": list(classifier.classes),
            "preprocessing": classifier.preprocess.in_words(),
            "limits": {"max_mb": config.max_mb, "max_files": config.max_files, "timeout": config.timeout},
            "examples": [
                {"address": f"examples/{number}", "label": example.label}
                for number, example in enumerate(service.examples)
            ],
            "version": app.version,
        }
        return Response(json.dumps(said), media_type="application/json")

    said = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_fails(400, 500)}

    @app.get("/metrics", response_class=Response, summary="Counts, for Prometheus.", responses=said)
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _add_page(app: FastAPI, service: Service) -> None:
    folder = Path(__file__).parent / "page"

    def add(path: str, content: bytes, kind: str) -> None:
        async def page() -> Response:
            policy = {"Content-Security-Policy": PAGE, "Cache-Control": "no-cache"}
            return Response(content, headers={**policy, "Content-Type": kind})

        app.add_api_route(path, page, include_in_schema=False)

    for path, (name, kind) in PAGE_FILES.items():
        add(path, (folder / name).read_bytes(), kind)

    shown = {
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **_fails(400, 404, 422, 500),
    }

    @app.get("/examples/{number}", response_class=Response, summary="A picture to try.", responses=shown)
    async def example(number: int) -> Response:
        if not 0 <= number < len(service.examples):
            raise RefusalError(404, "not_found", MEANINGS[404])
        return Response(service.examples[number].jpeg, media_type="image/jpeg")


def _add_failures(app: FastAPI) -> None:
    """Give every failure the one body, with nothing of the server in it; what nobody foresaw is the edge's."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusalError)
        return failed(error)

    async def wrong(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return failed(RefusalError(422, "wrong_parameters", "; ".join(map(_in_words, error.errors()))))

    async def by_framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "refused")
        refusal = RefusalError(error.status_code, code, MEANINGS.get(error.status_code, "The request is refused."))
        return failed(refusal, error.headers)

    app.add_exception_handler(RefusalError, refused)
    app.add_exception_handler(RequestValidationError, wrong)
    app.add_exception_handler(HTTPException, by_framework)


def _fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Failed, "description": MEANINGS[status]} for status in statuses}


def _in_words(problem: Any) -> str:
    """Return what is wrong with a parameter."""
    return f"{problem['loc'][-1]}: {problem['msg']}"


def _refuse_unknown(request: Request, known: set[str]) -> None:
    """Refuse parameters that nobody would look at: `topk=3` is a mistake, not a wish to have the default."""
    for name in request.query_params:
        if name not in known:
            raise RefusalError(
                422, "wrong_parameters", f"{name[:40]}: there is no such parameter.{suggest(name, known)}"
            )
