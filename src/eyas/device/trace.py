"""Writes `profile.json.gz` in the Trace Event Format, for ui.perfetto.dev and chrome://tracing."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eyas.files.atomic import atomic_path

TRACE = "profile.json.gz"


class Span(NamedTuple):
    """A stretch of time in one thread: nanoseconds of `time.perf_counter_ns`."""

    name: str
    thread: int
    began: int
    ended: int
    step: int | None
    epoch: int | None


def write_trace(path: Path, spans: Iterable[Span], threads: Mapping[int, str], *, zero: int, dropped: int) -> None:
    """Write the spans, whole or not at all, with times since `zero`; `threads` names those they ran in.

    https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. In one piece of gzip: viewers do
    not read a second one. Raises `FileError` where the disk refuses it.
    """
    with atomic_path(path) as temporary, gzip.open(temporary, "wt", encoding="utf-8", compresslevel=5) as file:
        file.write(f'{{"displayTimeUnit":"ms","otherData":{{"spans left out":{dropped}}},"traceEvents":[')
        for number, event in enumerate(_events(spans, threads, zero)):
            file.write(("," if number else "") + "\n" + json.dumps(event, separators=(",", ":")))
        file.write("\n]}\n")


def _events(spans: Iterable[Span], threads: Mapping[int, str], zero: int) -> Iterator[dict[str, Any]]:
    process, tracks = os.getpid(), {thread: number for number, thread in enumerate(threads, 1)}
    yield {"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": "eyas"}}
    for thread, name in threads.items():
        track = {"ph": "M", "pid": process, "tid": tracks[thread]}
        yield {**track, "name": "thread_name", "args": {"name": name}}
        yield {**track, "name": "thread_sort_index", "args": {"sort_index": tracks[thread]}}
    for span in sorted(spans, key=lambda span: (span.began, -span.ended)):  # what lies in another comes after it
        event = {
            "ph": "X", "name": span.name, "pid": process, "tid": tracks[span.thread],
            "ts": (span.began - zero) / 1000, "dur": (span.ended - span.began) / 1000,
        }  # fmt: skip
        numbers = {name: value for name, value in (("step", span.step), ("epoch", span.epoch)) if value is not None}
        yield {**event, "args": numbers} if numbers else event
