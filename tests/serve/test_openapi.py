"""The server's OpenAPI is true: schemathesis asks what it says may be asked, and what it says may not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests import hostile
from tests.scenes import scene
from tests.serve.servers import Running, classifier_of, file_of, serving

from eyas.serve.examples import Example
from eyas.serve.refusal import MEANINGS

STRANGE = [hostile.png_bomb(), b"", b"hello", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"P5 1 1 255 "]


def pictures() -> st.SearchStrategy[bytes]:
    """Small pictures of all kinds: what a schema calls binary does not say that they are."""
    kinds = st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP"])
    return st.builds(lambda seed, kind: file_of(scene(seed, (20, 14)), kind), st.integers(0, 9), kinds)


@pytest.fixture(scope="module")
def api() -> Iterator[Running]:
    schemathesis.openapi.format("binary", pictures())
    for kind in ("image/*", "application/octet-stream"):
        schemathesis.openapi.media_type(kind, pictures())
    with serving(classifier_of(), max_mb=1, max_files=3) as running:
        running.service.examples = [Example(file_of(scene(1), "JPEG"), None)]
        yield running


def schema_of(running: Running) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{running.port}/openapi.json")


def quietly(examples: int) -> settings:
    return settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def ask_all(running: Running, examples: int) -> set[tuple[str, int]]:
    """Ask what may and what may not be asked at every address; hold every answer to the schema."""
    seen = set()
    for found in schema_of(running).get_all_operations():
        operation = found.ok()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            if mode == schemathesis.GenerationMode.NEGATIVE and operation.path not in (
                "/predict",
                "/examples/{number}",
            ):
                continue  # nothing can be asked wrongly

            @quietly(examples)
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: schemathesis.Case) -> None:
                response = case.call()
                seen.add((case.operation.path, response.status_code))
                # a number that no example has is a valid one
                skipped = (
                    [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
                    if "number" in case.operation.path
                    else []
                )
                case.validate_response(response, excluded_checks=skipped)

            ask()
    return seen


def test_what_the_schema_says_is_so(api):
    seen = ask_all(api, 15)
    assert {("/predict", 200), ("/predict", 422), ("/about", 200), ("/metrics", 200)} <= seen
    assert not [status for _, status in seen if status >= 500]


@pytest.mark.slow
def test_what_the_schema_says_is_so_in_thousands_of_requests(api):
    assert not [status for _, status in ask_all(api, 500) if status >= 500]


def mangled() -> st.SearchStrategy[bytes]:
    """Pictures with some bytes cut out, changed or put in, and what is none."""

    def mangle(data: bytes, place: float, length: int, put: bytes) -> bytes:
        start = int(place * len(data))
        return data[:start] + put + data[start + length :]

    return st.builds(
        mangle, pictures(), st.floats(0, 1), st.integers(0, 400), st.binary(max_size=20)
    ) | st.sampled_from(STRANGE)


def ask_mangled(running: Running, examples: int) -> None:
    @quietly(examples)
    @given(data=mangled(), by_form=st.booleans(), mapped=st.booleans())
    def ask(data: bytes, by_form: bool, mapped: bool) -> None:
        query = {"heatmap": str(mapped).lower()}
        if by_form:
            response = running.client.post("/predict", files={"file": data}, params=query)
        else:
            response = running.ask(data, **query)
        assert response.status_code in (200, 415, 422), response.text
        assert not re.search(r"0x[0-9a-f]{6}|\.py\b|BytesIO", response.text)

    ask()


def test_mangled_pictures_are_answered_or_refused(api):
    ask_mangled(api, 50)


@pytest.mark.slow
def test_thousands_of_mangled_pictures_are_answered_or_refused(api):
    ask_mangled(api, 2000)


def test_every_status_that_can_occur_is_in_the_schema(api):
    paths = api.client.get("/openapi.json").json()["paths"]
    assert set(paths["/predict"]["post"]["responses"]) == {"200"} | {
        str(status) for status in MEANINGS if status not in (404, 405)
    }
    for path, operations in paths.items():
        for operation in operations.values():
            assert {"200", "400", "500"} <= set(operation["responses"]), path
            for status, response in operation["responses"].items():
                if status != "200":
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Failed"}, (path, status)
    assert set(paths) == {"/predict", "/health", "/ready", "/about", "/metrics", "/examples/{number}"}


def test_the_schema_names_nothing_but_what_is_served(api):
    text = api.client.get("/openapi.json").text
    assert "HTTPValidationError" not in text
    for path in ("/docs", "/redoc"):  # they load from other hosts
        assert api.client.get(path).status_code == 404
