"""Spans of time: their sums, their nesting, the trace, and the face that does nothing."""

from __future__ import annotations

import gzip
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from eyas.device.profile import Lap, NoSpans, Share, Spans
from eyas.errors import FileError


def traced(spans: Spans, path: Path) -> list[dict[str, Any]]:
    """Return the spans of the trace that is written now."""
    with spans.traced(path):
        pass
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return [event for event in events if event["ph"] == "X"]


def named(lap: Lap) -> dict[str, Share]:
    return {share.name: share for share in lap.shares}


def test_a_span_counts_what_runs_inside_with_what_lies_in_it():
    spans = Spans()
    with spans.span("outer"):
        time.sleep(0.02)
        for _ in range(3):
            with spans.span("inner"):
                time.sleep(0.01)
    lap = spans.lap()
    outer, inner = named(lap)["outer"], named(lap)["inner"]
    assert [(share.name, share.depth, share.count) for share in lap.shares] == [("outer", 0, 1), ("inner", 1, 3)]
    assert inner.seconds >= 0.03 and outer.seconds >= inner.seconds + 0.02 and lap.seconds >= outer.seconds


def test_equal_names_at_different_places_are_different_lines_below_their_own():
    spans = Spans()
    for outer, count in (("step", 3), ("test", 2)):
        with spans.span(outer):
            for _ in range(count):
                with spans.span("forward"):
                    pass
    lines = [(share.name, share.depth, share.count) for share in spans.lap().shares]
    assert {tuple(lines[:2]), tuple(lines[2:])} == {
        (("step", 0, 1), ("forward", 1, 3)), (("test", 0, 1), ("forward", 1, 2)),
    }  # fmt: skip


def test_the_longest_line_comes_first():
    spans = Spans()
    for name, seconds in (("short", 0.0), ("long", 0.05)):
        with spans.span(name):
            time.sleep(seconds)
    shares = spans.lap().shares
    assert [share.seconds for share in shares] == sorted((share.seconds for share in shares), reverse=True)
    assert len(shares) == 2


def test_laps_part_the_time_and_add_up_to_the_whole():
    spans = Spans()
    laps = []
    for count in (2, 3):
        for _ in range(count):
            with spans.span("step"):
                time.sleep(0.002)
        laps.append(spans.lap())
    whole = spans.whole()
    assert [lap.shares[0].count for lap in laps] == [2, 3] and whole.shares[0].count == 5
    assert whole.shares[0].seconds == pytest.approx(sum(lap.shares[0].seconds for lap in laps))
    assert whole.seconds >= sum(lap.seconds for lap in laps)


def test_each_measures_how_an_item_is_made_and_not_what_is_done_with_it():
    spans = Spans()

    def items() -> Any:
        for number in range(3):
            time.sleep(0.001)
            yield number

    got = []
    for item in spans.each("waiting", items()):
        with spans.span("done with it"):
            time.sleep(0.05)
        got.append(item)
    lap = spans.lap()
    assert got == [0, 1, 2] and named(lap)["waiting"].seconds >= 0.003
    assert {(share.name, share.depth) for share in lap.shares} == {("waiting", 0), ("done with it", 0)}
    assert sum(share.seconds for share in lap.shares) <= lap.seconds


def test_other_threads_are_summed_beside_and_their_number_is_known(tmp_path):
    spans = Spans()
    meet = threading.Barrier(3)

    def work() -> None:
        meet.wait(60)
        for _ in range(200):
            with spans.span("decode"), spans.span("resize"):
                pass

    workers = [threading.Thread(target=work, name=f"reader-{number}") for number in range(3)]
    with spans.span("waiting"):
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    lap = spans.lap()
    assert [(share.name, share.depth, share.count, share.threads) for share in lap.shares] == [
        ("waiting", 0, 1, 0), ("decode", 0, 600, 3), ("resize", 1, 600, 3),
    ]  # fmt: skip
    events = traced(spans, tmp_path / "trace.json.gz")
    assert len({event["tid"] for event in events if event["name"] == "decode"}) == 3
    names = {e["args"]["name"] for e in json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
             ["traceEvents"] if e["name"] == "thread_name"}  # fmt: skip
    assert names == {"training", "reader-0", "reader-1", "reader-2"}


def test_only_the_training_thread_waits_for_the_device_at_both_ends():
    waited: list[int] = []
    spans = Spans(lambda: waited.append(threading.get_ident()))
    with spans.span("forward"):
        assert len(waited) == 1

    def beside() -> None:
        with spans.span("decode"):
            pass

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    assert waited == [threading.get_ident()] * 2


def test_a_span_that_fails_is_counted_and_closed():
    spans = Spans()
    with pytest.raises(ValueError, match="no"), spans.span("outer"), spans.span("inner"):
        raise ValueError("no")
    with spans.span("next"):
        pass
    assert {share.name: share.depth for share in spans.lap().shares} == {"outer": 0, "inner": 1, "next": 0}


def test_a_long_trace_keeps_its_begin_and_its_end_and_the_sums_all(tmp_path):
    spans = Spans(oldest=3, newest=4)
    for step in range(1, 21):
        with spans.span("step", step=step, epoch=1):
            pass
    lap = spans.lap()
    assert (lap.shares[0].count, lap.dropped) == (20, 13)
    events = traced(spans, tmp_path / "trace.json.gz")
    assert [event["args"]["step"] for event in events] == [1, 2, 3, 17, 18, 19, 20]


def test_the_trace_is_written_where_the_run_fails_and_the_failure_is_the_runs(tmp_path):
    spans = Spans()
    with pytest.raises(KeyboardInterrupt), spans.traced(tmp_path / "trace.json.gz"), spans.span("step"):
        raise KeyboardInterrupt
    assert (tmp_path / "trace.json.gz").exists()
    with pytest.raises(ValueError, match="first"), spans.traced(tmp_path / "nowhere" / "trace.json.gz"):
        raise ValueError("first")
    with pytest.raises(FileError, match="nowhere"), spans.traced(tmp_path / "nowhere" / "trace.json.gz"):
        pass


def test_without_it_the_same_marks_do_nothing(tmp_path):
    nothing = NoSpans()
    with nothing.span("step", step=1, epoch=1), nothing.span("forward"), nothing.traced(tmp_path / "trace.json.gz"):
        pass
    items = [1, 2]
    assert nothing.each("waiting", items) is items
    assert nothing.span("step") is nothing.span("forward"), "nothing is made for a mark"
    nothing.lap()
    nothing.whole()
    assert list(tmp_path.iterdir()) == []
