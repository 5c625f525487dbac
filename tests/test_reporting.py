"""eyas report: the page of a run."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import eyas
from eyas.cli import main
from eyas.data.findings import KINDS
from eyas.errors import CheckpointError, DataError, SettingsError
from eyas.evaluation.confidence import BOUNDS, softmax
from eyas.files.atomic import PREDICTIONS
from eyas.files.tensors import read_tensors, write_tensors
from eyas.render.language import LANGUAGES, language
from eyas.render.material import DOUBTS
from eyas.run_folder.record import read_record
from tests.conftest import write_pictures
from tests.pages import Seen
from tests.runs import QUICK


def trained(pictures: dict[str, str], out: Path, **given) -> Path:
    eyas.train(pictures["train"], out=out, view="none", **{**QUICK, "test": pictures["test"], "epochs": 2, **given})
    return out


def relabelled(source: str, target: Path, wrong: int) -> list[str]:
    """Write a list in which the first `wrong` lines have the label of another class; return their files' names."""
    lines = [line.split() for line in Path(source).read_text().splitlines()]
    order = sorted(range(len(lines)), key=lambda number: (number % 7, number))  # of all classes
    names = sorted({name for _, name in lines})
    for number in order[:wrong]:
        lines[number][1] = names[(names.index(lines[number][1]) + 1) % len(names)]
    target.write_text("".join(f"{path} {name}\n" for path, name in lines))
    return [lines[number][0] for number in order[:wrong]]


@pytest.fixture(scope="module")
def some(tmp_path_factory) -> Path:
    """A folder of 42 pictures to measure on, easy to tell apart, with their list."""
    folder = tmp_path_factory.mktemp("measured")
    write_pictures(folder, {"red": 14, "green": 14, "blue": 14}, seed=2)
    return folder


@pytest.fixture(scope="module")
def finished(pictures, some, tmp_path_factory) -> Path:
    """A good run with a validation and a test set; 6 of 42 test labels are wrong, and so it has mistakes."""
    relabelled(str(some / "list.txt"), some / "six.txt", 6)
    lists = {"train": pictures["train"], "test": str(some / "six.txt")}
    return trained(lists, tmp_path_factory.mktemp("report") / "run", val=0.3, epochs=4)


@pytest.fixture(scope="module")
def middling(pictures, some, tmp_path_factory) -> Path:
    """A run that is better than guessing, but by its labels too often wrong to doubt labels: 17 of 42 are wrong."""
    relabelled(str(some / "list.txt"), some / "many.txt", 17)
    lists = {"train": pictures["train"], "test": str(some / "many.txt")}
    return trained(lists, tmp_path_factory.mktemp("middling") / "run", epochs=4, select="loss")


@pytest.fixture(scope="module")
def chance(pictures, tmp_path_factory) -> Path:
    """A run that has learnt nothing."""
    return trained(pictures, tmp_path_factory.mktemp("chance") / "run", epochs=1, lr=1e-9)


@pytest.fixture
def run(finished, tmp_path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def shown(run: Path, **given) -> Seen:
    return Seen(eyas.report(run, **given).read_text(encoding="utf-8"))


def test_a_run_ends_with_its_page(finished):
    seen = Seen((finished / "report.html").read_text(encoding="utf-8"))
    scores = read_record(finished).scores["test"]
    low, high = scores.interval
    assert f"{100 * scores.accuracy:.2f} % Accuracy" in seen.text
    assert f"of 42 test images, 95 % interval {100 * low:.2f} to {100 * high:.2f} %" in seen.text
    assert "The best epoch was chosen on the validation set" in seen.text
    assert f"{100 * scores.macro_f1:.2f} %" in seen.text


def test_the_page_is_the_same_whenever_it_is_made(finished, tmp_path):
    assert eyas.report(finished, out=tmp_path / "again.html").read_bytes() == (finished / "report.html").read_bytes()


def test_it_needs_nothing_else_and_runs_nothing(run):
    seen = shown(run)
    assert seen.loads
    assert all(place.startswith("data:image/") for place in seen.loads)
    assert seen.counts["script"] == seen.counts["link"] == seen.counts["iframe"] == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'; img-src data:" in page
    assert "url(" not in page
    assert "@import" not in page


def test_every_number_of_the_classes_and_of_the_matrix_is_there(run):
    seen, scores = shown(run), read_record(run).scores["test"]
    for number, name in enumerate(scores.classes):
        said = "absent" if np.isnan(scores.f1[number]) else f"{100 * scores.f1[number]:.1f} %"
        assert f"{name}{said}" in seen.text.replace(" ▷", "").replace("▷", "").replace("□", "").replace("●", "")
    page = (run / "report.html").read_text(encoding="utf-8")
    cells = re.findall(r"<td[^>]*style=\"background[^>]*>([\d,]+)</td>", page)
    assert sorted(map(int, cells)) == sorted(int(count) for count in scores.confusion.flat if count)


def test_the_most_confident_mistakes_come_first_with_where_the_network_looked(middling, tmp_path):
    scores = read_record(middling).scores["test"]
    wrong = int((scores.predicted != scores.targets).sum())
    assert wrong > 12
    page = eyas.report(middling, out=tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"12 of {wrong} mistakes" in Seen(page).text
    part = page[page.index("Most confident mistakes") : page.index("Possible label errors")]
    assert part.count("<img") == 2 * 12
    sure = [float(share) for share in re.findall(r"predicted <b>.*?</b> \(([\d.]+)", part)]
    assert sure == sorted(sure, reverse=True)


def test_a_model_that_is_too_often_wrong_itself_doubts_no_label(middling, tmp_path):
    seen = Seen(eyas.report(middling, out=tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Label errors were not searched for: with" in seen.text
    assert not (tmp_path / DOUBTS).exists()


def test_wrong_labels_are_found_and_written_to_a_file_and_shown_once(finished, some, tmp_path):
    wrong = {str(some / name) for name in relabelled(str(some / "list.txt"), tmp_path / "again.txt", 6)}
    page = eyas.report(finished, out=tmp_path / "page.html").read_text(encoding="utf-8")
    with (tmp_path / DOUBTS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "suggested", "probability"]
    found = {row["path"]: row for row in rows}
    assert wrong <= found.keys()
    for path in wrong:
        assert found[path]["suggested"] == Path(path).parent.name != found[path]["label"]
        assert 0 < float(found[path]["probability"]) <= 1
    assert (finished / DOUBTS).read_bytes() == (tmp_path / DOUBTS).read_bytes()
    assert f"<code>{DOUBTS}</code>" in page
    places = re.findall(r"<p class=note><bdi>(\w+\.png|[^<]*\d+\.png)</bdi></p>", page)
    pictures = re.findall(r'<div class=pair><img [^>]*src="([^"]+)"', page)
    assert len(places) == len(pictures) > 0
    assert len(set(pictures)) == len(pictures)


def test_doubts_of_an_earlier_best_model_do_not_stay(finished, chance, tmp_path):
    shutil.copytree(chance, tmp_path / "run")
    shutil.copy(finished / DOUBTS, tmp_path / "run" / DOUBTS)
    eyas.report(tmp_path / "run")
    assert not (tmp_path / "run" / DOUBTS).exists()


def test_a_run_at_chance_says_so_and_shows_neither_mistakes_nor_doubts(chance, tmp_path):
    scores = read_record(chance).scores["test"]
    low, high = (100 * end for end in scores.interval)
    seen = Seen(eyas.report(chance, out=tmp_path / "page.html").read_text(encoding="utf-8"))
    said = f"{100 * scores.accuracy:.2f} % [{low:.2f}, {high:.2f}]: no better than guessing (always answering red gives 38"
    assert said in seen.text
    assert "Possible label errors" not in seen.text
    assert "Most confident mistakes" not in seen.text
    assert seen.counts["img"] == 0
    assert not (chance / DOUBTS).exists()
    in_chinese = Seen(eyas.report(chance, out=tmp_path / "zh.html", language="zh").read_text(encoding="utf-8"))
    assert "不比猜测好（总是回答 red 可得 38" in in_chinese.text


def test_a_threshold_can_be_chosen_beside_the_calibration(finished, tmp_path):
    scores = read_record(finished).scores["test"]
    page = eyas.report(finished, out=tmp_path / "page.html").read_text(encoding="utf-8")
    part = page[page.index("Thresholds for unknown images") :]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", part)][: len(BOUNDS)]
    sure = softmax(scores.logits)
    for bound, row in zip(BOUNDS, rows, strict=True):
        answered = sure.max(axis=1) >= bound
        right = int((answered & (scores.predicted == scores.targets)).sum())
        assert row[:3] == [f"{bound:g}", f"{100 * answered.mean():.2f}\u00a0%", str(answered.sum())]
        assert row[4] == (str(right) if answered.any() else "–")
    assert "makes the test results optimistic" in part


def test_it_says_what_a_temperature_does_and_what_was_stored(run):
    if "would give an error of" in shown(run).text:
        eyas.calibrate(run)
        assert "The model is calibrated with a temperature of" in shown(run).text
    else:  # nothing was wrong in the validation share
        assert "Expected calibration error" in shown(run).text


def test_in_chinese_all_words_are_chinese(run):
    seen = shown(run, language="zh")
    assert "测试图片" in seen.text
    assert "混淆矩阵" in seen.text
    assert not [
        phrase for key, phrase in language("en").words.items() if phrase in seen.text and len(phrase) > 12 and key != "made by"
    ]
    assert '<html lang="zh-CN">' in (run / "report.html").read_text(encoding="utf-8")


def test_both_languages_say_the_same_things():
    english, chinese = (language(name).words for name in LANGUAGES)
    assert english.keys() == chinese.keys()
    for key in english:
        fields = [sorted(set(re.findall(r"{(\w+[^}]*)}", words[key]))) for words in (english, chinese)]
        assert fields[0] == fields[1] or key == "not selected", key


def test_it_says_what_an_audit_finds_where_one_is_asked_for(pictures, tmp_path):
    shutil.copytree(Path(pictures["test"]).parent, tmp_path / "test")
    shutil.copy(Path(pictures["train"]).parent / "red" / "000.png", tmp_path / "test" / "red" / "000.png")
    lists = {"train": pictures["train"], "test": str(tmp_path / "test" / "list.txt")}
    run = trained(lists, tmp_path / "run", epochs=1, cache_dir=str(tmp_path / "cache"))
    assert "Findings of eyas inspect in the 77 images of this run." in shown(run, audit=True).text
    assert "1 images are, exactly or nearly, in two of this run's sets" in shown(run, audit=True).text
    assert "the same picture in two parts1" in shown(run, audit=True).text
    assert "相同的图片出现在两个部分中1" in shown(run, audit=True, language="zh").text
    assert "Findings of eyas inspect" not in shown(run).text


def test_every_kind_of_finding_has_a_chinese_name():
    assert language("zh").findings.keys() == language("zh").remedies.keys() == KINDS.keys()


def test_an_unknown_language_is_refused(run):
    with pytest.raises(SettingsError, match="there are en, zh"):
        eyas.report(run, language="fr")


def test_pictures_that_are_gone_or_others_are_left_out_and_it_is_said(pictures, tmp_path):
    shutil.copytree(Path(pictures["train"]).parent, tmp_path / "train")
    shutil.copytree(Path(pictures["test"]).parent, tmp_path / "test")
    lists = {split: str(tmp_path / split / "list.txt") for split in ("train", "test")}
    relabelled(lists["test"], Path(lists["test"]), 3)
    run = trained(lists, tmp_path / "run", epochs=4)
    before = (run / "report.html").read_bytes()
    Image.new("RGB", (40, 40)).save(tmp_path / "test" / "red" / "000.png")
    with pytest.raises(DataError, match="is left as it is, since its pictures are gone now"):
        eyas.report(run)
    assert (run / "report.html").read_bytes() == before
    other = tmp_path / "other.html"
    assert "is no more the set that was measured" in shown(run, out=other).text
    assert shown(run, out=other).counts["img"] == 0
    assert "Grad-CAM" not in shown(run, out=other).text
    shutil.rmtree(tmp_path / "test")
    assert "Images are not shown" in shown(run, out=other).text
    (run / "report.html").unlink()
    assert "Images are not shown" in shown(run).text
    assert f"{100 * read_record(run).scores['test'].accuracy:.2f} %" in shown(run).text


def test_selected_on_test_is_said_where_it_is_so(pictures, tmp_path):
    run = trained(pictures, tmp_path / "run", epochs=1)
    assert "Selected on test" in shown(run).text


def test_a_run_without_a_set_to_measure_on_has_a_page_too(pictures, tmp_path):
    run = trained(pictures, tmp_path / "run", epochs=1, test=None)
    seen = shown(run)
    assert "nothing was evaluated" in seen.text
    assert "Training curves" in seen.text
    assert f"eyas calibrate {(tmp_path / 'run').absolute()} DATA" in seen.text


def test_two_hundred_classes_have_room(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "p").mkdir()
    lines = []
    for number in range(200):
        for copy in range(2):
            Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(
                tmp_path / "p" / f"{number}-{copy}.png"
            )
            lines.append(f"p/{number}-{copy}.png kind{number:03d}")
    (tmp_path / "list.txt").write_text("\n".join(lines))
    (tmp_path / "test.txt").write_text("\n".join(lines[::2]))
    run = trained({"train": str(tmp_path / "list.txt"), "test": str(tmp_path / "test.txt")}, tmp_path / "run", epochs=1)
    seen, scores = shown(run), read_record(run).scores["test"]
    assert "The other 175 classes" in seen.text
    assert seen.counts["svg.matrix"] == 1
    assert (
        len(re.findall(r"<title>kind\d+ → kind\d+: \d+</title>", (run / "report.html").read_text()))
        == (scores.confusion > 0).sum()
    )
    assert (run / "report.html").stat().st_size < 500_000


def test_two_classes_and_a_class_that_the_test_set_lacks(pictures, tmp_path):
    train = write_pictures(tmp_path / "two", {"red": 10, "green": 8})
    two = trained({"train": str(train), "test": str(train)}, tmp_path / "run2", epochs=1)
    assert shown(two).counts["table.confusion"] == 1
    test = write_pictures(tmp_path / "some", {"red": 4, "green": 4})
    lacking = trained({"train": pictures["train"], "test": str(test)}, tmp_path / "run3", epochs=1)
    seen = shown(lacking)
    blue = read_record(lacking).scores["test"]
    assert blue.support[blue.classes.index("blue")] == 0
    assert not re.search(r"\bnan\b", seen.text.lower())


def test_names_of_classes_and_files_are_shown_and_do_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    names = ["<script>alert(1)</script>", "</bdi><img src=x onerror=y>", "猫 & 狗"]
    folder = tmp_path / "photos"
    for number, name in enumerate(["one", "two", "three"]):
        (folder / name).mkdir(parents=True)
        for copy in range(6):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
                folder / name / f"{number}{copy}'\"><b>.png"
            )
    (tmp_path / "names.txt").write_text("\n".join(names))
    lines = [
        f"{path.relative_to(tmp_path)}\t{place}"
        for place, name in enumerate(["one", "two", "three"])
        for path in sorted((folder / name).iterdir())
    ]
    (tmp_path / "list.tsv").write_text("\n".join(lines))
    lists = {"train": str(tmp_path / "list.tsv"), "test": str(tmp_path / "list.tsv")}
    run = trained(lists, tmp_path / "run", epochs=1, classes=str(tmp_path / "names.txt"), lr=0.0001)
    seen = shown(run)
    for name in names:
        assert name in seen.text
    assert seen.counts["script"] == 0
    assert seen.counts["b"] < 60


def test_answers_that_do_not_belong_to_the_model_are_refused(run):
    tensors, header = read_tensors(run / PREDICTIONS, "predictions")
    tensors["test/predicted"] = (tensors["test/predicted"] + 1) % 3
    write_tensors(run / PREDICTIONS, "predictions", tensors, {k: header[k] for k in ("epoch", "classes", "samples")})
    with pytest.raises(CheckpointError, match="the model's file says"):
        eyas.report(run)


def test_answers_of_so_many_that_they_were_not_kept_leave_the_rest(run):
    tensors, header = read_tensors(run / PREDICTIONS, "predictions")
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith("logits")}
    write_tensors(run / PREDICTIONS, "predictions", kept, {k: header[k] for k in ("epoch", "classes", "samples")})
    seen = shown(run)
    assert "to store all predictions" in seen.text
    assert seen.counts["table.confusion"] == 1


def test_a_page_that_cannot_be_written_ends_no_run(pictures, tmp_path, capsys):
    (tmp_path / "run" / "report.html").mkdir(parents=True)
    run = trained(pictures, tmp_path / "run", epochs=1)
    assert "report.html was not written: " in capsys.readouterr().err
    assert len(read_record(run).rows) == 1


def test_none_is_written_where_none_is_wanted_and_none_of_a_run_that_goes_on(pictures, tmp_path):
    run = trained(pictures, tmp_path / "run", epochs=1, report="none")
    assert not (run / "report.html").exists()
    assert trained(pictures, tmp_path / "zh", epochs=1, report="zh")
    assert "报告" in (tmp_path / "zh" / "report.html").read_text(encoding="utf-8")


def test_the_command_that_trains_longer_is_one_that_runs(pictures, tmp_path, monkeypatch):
    run = trained(pictures, tmp_path / "run", epochs=1, schedule="cosine")
    page = (run / "report.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"eyas (resume .*?)</pre>", page)
    monkeypatch.chdir("/")
    assert main(shlex.split(command)) == 0
    assert len(read_record(run).rows) == 6


def test_a_folder_that_is_no_run_is_told_so(tmp_path, capsys):
    with pytest.raises(DataError, match="is no run folder"):
        eyas.report(tmp_path)
    assert main(["report", str(tmp_path)]) == 65
    assert "is no run folder" in capsys.readouterr().err


def test_the_command_names_the_file(run, capsys):
    assert main(["report", str(run), "--out", str(run / "r.html"), "--language", "zh", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.strip() == str(run / "r.html")


def test_unreadable_pictures_that_were_left_out_do_not_shift_the_others(pictures, tmp_path):
    shutil.copytree(Path(pictures["test"]).parent, tmp_path / "test")
    (tmp_path / "test" / "red" / "000.png").write_bytes(b"broken")
    lists = {"train": pictures["train"], "test": str(tmp_path / "test" / "list.txt")}
    relabelled(lists["test"], Path(lists["test"]), 3)
    run = trained(lists, tmp_path / "run", epochs=4, skip_unreadable=True)
    at_the_end = (run / "report.html").read_bytes()
    assert shown(run).counts["img"] > 0
    assert "1 unreadable images were skipped" in shown(run).text
    assert (run / "report.html").read_bytes() == at_the_end
    assert torch.equal(
        torch.from_numpy(read_record(run).scores["test"].targets),
        read_tensors(run / PREDICTIONS, "predictions")[0]["test/labels"],
    )
