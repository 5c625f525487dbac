"""`scripts/gpu-check` runs to its end: on the emulated device, with tiny sizes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


import gpu


def test_the_check_ends_with_its_facts_and_its_table(emulated, tmp_path):
    assert gpu.main(["--out", str(tmp_path), "--tiny", "--rounds", "1"]) == 0
    facts = [json.loads(line) for line in (tmp_path / "facts.jsonl").read_text().splitlines()]
    assert [fact["equal"] for fact in facts if fact["fact"] == "cut and resumed"] == [True] * 4
    rates = [(fact["form"], fact["contender"]) for fact in facts if fact["fact"] == "rate"]
    assert len(rates) == len(set(rates)) == 4 * 3
    assert (tmp_path / "table.md").read_text().count("| squeezenet1_1, 32 px, batches of 8 |") == 4


def test_what_there_was_no_time_for_is_said(emulated, tmp_path):
    gpu.main(["--out", str(tmp_path), "--tiny", "--rounds", "1", "--minutes", "0"])
    facts = [json.loads(line)["fact"] for line in (tmp_path / "facts.jsonl").read_text().splitlines()]
    assert facts.count("left out") == 4 * 3
