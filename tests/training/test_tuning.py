"""What `auto` means for memory order and compilation: measured where it pays, written down, off elsewhere."""

from __future__ import annotations

import tomllib

import pytest
from tests.runs import assert_same_run, config_of

import eyas
from eyas.config import make_config
from eyas.plan import make_plan
from eyas.training.runtime import Runtime
from eyas.training.settings import DeviceConfig
from eyas.training.tuning import tune


def tuned(pictures, tmp_path, **settings):
    config = config_of(pictures, **settings)
    runtime = Runtime(config.device)
    return tune(make_plan(config, tmp_path), runtime), runtime


def test_a_short_run_is_not_worth_measuring_for(pictures, tmp_path):
    (chosen, said), _ = tuned(pictures, tmp_path)
    assert (chosen.channels_last, chosen.compile, said) == ("off", "off", "")


def test_a_long_run_is_measured_both_ways_and_says_so(pictures, tmp_path):
    (chosen, said), runtime = tuned(pictures, tmp_path, epochs=250)
    assert chosen.channels_last == ("on" if said.startswith("channels-last") else "off")
    assert chosen.compile == "off"
    assert said.count("channels-") == 3  # the choice, and both measurements
    assert runtime.config.channels_last == "auto"  # the caller decides what to do with the answer


@pytest.mark.parametrize("asked", ["on", "off"])
def test_what_is_asked_for_is_not_measured(pictures, tmp_path, asked):
    (chosen, said), _ = tuned(pictures, tmp_path, epochs=250, channels_last=asked, compile="off")
    assert (chosen.channels_last, said) == (asked, "")


def test_the_choice_is_written_down_and_changes_nothing_but_the_order(pictures, tmp_path, monkeypatch):
    given = {"model": "compact", "size": 16, "epochs": 2, "batch_size": 16, "view": "none", "device": "cpu"}
    monkeypatch.setattr("eyas.training.tuning.STEPS", 1)
    eyas.train(pictures["train"], test=pictures["test"], **given, out=tmp_path / "auto")
    recorded = tomllib.loads((tmp_path / "auto" / "config.toml").read_text())["device"]
    assert recorded["channels_last"] in ("on", "off")
    asked = {"channels_last": recorded["channels_last"], "compile": recorded["compile"]}
    eyas.train(pictures["train"], test=pictures["test"], **given, **asked, out=tmp_path / "asked")
    assert_same_run(tmp_path / "auto", tmp_path / "asked")


@pytest.mark.parametrize(("said", "meant"), [(True, "on"), (False, "off"), ("auto", "auto")])
def test_yes_and_no_may_be_written_as_such(said, meant):
    assert DeviceConfig(channels_last=said).channels_last == meant
    assert make_config({"compile": said}).device.compile == meant
