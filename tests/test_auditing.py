"""`eyas inspect`: what is planted in a set is found, named and told; what is not there is not."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

import eyas
from eyas.audit.survey import SurveyCache
from eyas.cli import main
from eyas.config.data import DataConfig
from eyas.data.findings import KINDS
from eyas.data.images.imageset import FileImages
from eyas.data.spec import open_images
from tests.scenes import scene

EACH = 12  # pictures of a class


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A set without fault: train/ and test/ with cats and dogs, no picture like another."""
    seed = 0
    for split, count in (("train", EACH), ("test", 4)):
        for name in ("cat", "dog"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                scene(seed).save(folder / f"{number:02}.png")
                seed += 1
    return tmp_path / "photos"


def look(data: Path | str, against: Path | str | None = None, *, cache: Path | None = None, **given) -> eyas.Audit:
    folder = cache or Path(data).parent / "cache"
    return eyas.inspect(data, against, settings=DataConfig(cache_dir=str(folder), **given))


def names(finding) -> list[str]:
    return [Path(seen.place).name for seen in finding.images]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def only(audit: eyas.Audit, kind: str):
    assert dict(audit.totals) == {kind: 1}
    (finding,) = audit.findings
    return finding


def test_a_set_without_fault_has_no_findings(photos):
    audit = look(photos)
    assert (audit.findings, audit.totals, audit.overlaps, audit.wrong) == ((), {}, (), False)


def test_every_part_is_counted_by_class_with_sizes_and_kinds_of_files(photos):
    scene(900, (200, 150)).save(photos / "test" / "dog" / "large.jpg")
    train, test = look(photos).parts
    assert (train.name, train.images, train.classes) == ("train", 2 * EACH, (("cat", EACH), ("dog", EACH)))
    assert (test.classes, test.widths, test.heights) == ((("cat", 4), ("dog", 5)), (96, 96, 200), (96, 96, 150))
    assert test.kinds == (("PNG RGB", 8), ("JPEG RGB", 1))


def test_the_same_picture_with_another_label_is_a_conflict_also_in_another_format(photos):
    Image.open(photos / "train" / "cat" / "03.png").save(photos / "train" / "dog" / "copy.bmp")
    finding = only(look(photos), "conflict")
    assert sorted((seen.label, Path(seen.place).name) for seen in finding.images) == [
        ("cat", "03.png"),
        ("dog", "copy.bmp"),
    ]


def test_a_conflict_is_said_first_even_where_other_things_are_wrong(photos):
    shutil.copy(photos / "train" / "cat" / "00.png", photos / "train" / "dog" / "copy.png")
    shutil.copy(photos / "train" / "cat" / "01.png", photos / "test" / "cat" / "leak.png")
    (photos / "train" / "cat" / "broken.jpg").write_bytes(b"no image")
    assert [finding.kind for finding in look(photos).findings] == ["conflict", "leak", "unreadable"]
    assert next(iter(KINDS)) == "conflict"


def test_a_training_picture_in_the_test_part_is_a_leak(photos):
    shutil.copy(photos / "train" / "cat" / "05.png", photos / "test" / "cat" / "again.png")
    audit = look(photos)
    assert {seen.part for seen in only(audit, "leak").images} == {"train", "test"}
    (overlap,) = audit.overlaps
    assert (overlap.part, overlap.of, overlap.same, overlap.alike) == ("test", "train", 1, 0)


def test_the_same_picture_twice_in_a_part_is_a_duplicate(photos):
    for number in range(3):
        shutil.copy(photos / "train" / "cat" / "05.png", photos / "train" / "cat" / f"again-{number}.png")
    finding = only(look(photos), "duplicate")
    assert finding.count == 4
    assert names(finding) == ["05.png", "again-0.png", "again-1.png", "again-2.png"]


ALTERED = {
    "recompressed": lambda picture, path: picture.save(path.with_suffix(".jpg"), quality=40),
    "resized": lambda picture, path: picture.resize((60, 60)).save(path),
    "mirrored": lambda picture, path: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path),
    "brighter": lambda picture, path: ImageEnhance.Brightness(picture).enhance(1.2).save(path),
    "grey": lambda picture, path: picture.convert("L").save(path),
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_training_picture_in_the_test_part_is_a_near_leak(photos, how):
    ALTERED[how](Image.open(photos / "train" / "dog" / "07.png"), photos / "test" / "dog" / "altered.png")
    audit = look(photos)
    finding = only(audit, "near-leak")
    assert [seen.part for seen in finding.images] == ["test", "train"]
    assert names(finding)[1] == "07.png"
    assert finding.mirrored == (how == "mirrored")
    assert (audit.overlaps[0].same, audit.overlaps[0].alike) == (0, 1)


def test_a_recompressed_copy_with_another_label_is_a_near_conflict(photos):
    Image.open(photos / "train" / "cat" / "03.png").save(photos / "train" / "dog" / "copy.jpg", quality=60)
    assert sorted(seen.label for seen in only(look(photos), "near-conflict").images) == ["cat", "dog"]


def test_pictures_too_small_to_show_anything_are_compared_by_their_pixels_only(tmp_path):
    audit = look("digits", cache=tmp_path)
    assert [part.name for part in audit.parts] == ["digits:train", "digits:test"]
    assert not {"near-leak", "near-duplicate", "near-conflict"} & set(audit.totals)


def test_unreadable_files_are_named_by_the_line_of_their_list(tmp_path):
    for number in range(24):
        scene(number).save(tmp_path / f"{number:02}.png")
    (tmp_path / "05.png").write_bytes((tmp_path / "05.png").read_bytes()[:2000])
    (tmp_path / "06.png").write_bytes(b"")
    lines = [f"{number:02}.png {'cat' if number % 2 else 'dog'}\n" for number in range(24)]
    (tmp_path / "list.txt").write_text("".join(lines))
    audit = look(tmp_path / "list.txt")
    assert [seen.place for finding in audit.of("unreadable") for seen in finding.images] == [
        f"{tmp_path}/list.txt:6: 05.png", f"{tmp_path}/list.txt:7: 06.png",
    ]  # fmt: skip
    assert "the file is empty" in audit.of("unreadable")[1].reason
    assert audit.parts[0].unreadable == 2


def test_lines_that_cannot_be_used_are_findings_and_the_rest_is_looked_at(tmp_path):
    for number in range(24):
        scene(number).save(tmp_path / f"{number:02}.png")
    lines = [f"{number:02}.png {'cat' if number % 2 else 'dog'}\n" for number in range(24)]
    lines[3:3] = ["gone.png cat\n"]
    (tmp_path / "list.txt").write_text("".join(lines))
    audit = look(tmp_path / "list.txt")
    assert only(audit, "line").reason.startswith(f"{tmp_path}/list.txt:4: gone.png does not exist")
    assert audit.parts[0].images == 24


def test_an_image_that_a_list_names_with_two_labels_is_a_conflict(tmp_path):
    for number in range(24):
        scene(number).save(tmp_path / f"{number:02}.png")
    lines = [f"{number:02}.png {'cat' if number % 2 else 'dog'}\n" for number in range(24)]
    (tmp_path / "list.txt").write_text("".join([*lines, "00.png cat\n"]))
    audit = look(tmp_path / "list.txt")
    (conflict,) = audit.of("conflict")
    assert [(seen.place.partition("list.txt")[2], seen.label) for seen in conflict.images] == [
        (":1: 00.png", "dog"),
        (":25: 00.png", "cat"),
    ]


def test_the_splits_of_a_list_are_parts_of_their_own(tmp_path):
    rows = ["path,label,split\n"]
    for number in range(40):
        scene(number % 39).save(tmp_path / f"{number:02}.png")
        rows.append(f"{number:02}.png,{'cat' if number % 2 else 'dog'},{'train' if number < 30 else 'testing'}\n")
    (tmp_path / "list.csv").write_text("".join(rows))  # 39 is 0, whose label differs
    audit = look(tmp_path / "list.csv")
    assert [(part.name, part.images) for part in audit.parts] == [("list.csv:train", 30), ("list.csv:test", 10)]
    assert [seen.part for seen in audit.of("conflict")[0].images] == ["list.csv:train", "list.csv:test"]


def test_a_set_against_another_one_is_searched_for_leaks(photos):
    shutil.copy(photos / "train" / "cat" / "05.png", photos / "test" / "cat" / "again.png")
    audit = look(photos / "train", photos / "test")
    assert [part.name for part in audit.parts] == ["train", "test"]
    assert only(audit, "leak").count == 2


def test_a_set_against_itself_keeps_the_parts_apart(photos):
    audit = look(photos / "train", photos / "train")
    assert len({part.name for part in audit.parts}) == 2
    assert audit.overlaps[0].same == 2 * EACH


def test_class_names_that_hardly_differ_are_told(photos):
    for name in ("Cat", "caf\u00e9", "cafe\u0301"):
        (photos / "train" / name).mkdir()
        for number in range(EACH):
            scene(1000 + 100 * len(name) + number + ord(name[0]) * 7 + len(name.encode()) * 50).save(
                photos / "train" / name / f"{number}.png"
            )
    shutil.rmtree(photos / "test")
    told = [finding.reason for finding in look(photos).of("names")]
    assert sorted(told) == ["'Cat', 'cat'", "'cafe\u0301', 'caf\u00e9'"]


def test_small_empty_and_unequal_classes_are_told(photos):
    for number in range(5, EACH):
        (photos / "train" / "cat" / f"{number:02}.png").unlink()
    for number in range(50 - EACH):
        scene(500 + number).save(photos / "train" / "dog" / f"more-{number}.png")
    shutil.rmtree(photos / "test" / "dog")
    audit = look(photos)
    assert [finding.reason for finding in audit.of("few")] == ["train: cat: 5"]
    assert [finding.reason for finding in audit.of("imbalance")] == ["train: dog: 50; cat: 5"]
    assert [finding.reason for finding in audit.of("missing")] == ["test: dog"]
    assert not audit.wrong


def test_pictures_of_one_colour_and_of_extreme_shape_are_told(photos):
    for number in range(3):
        Image.new("RGB", (50, 50), (10, 20, 30)).save(photos / "train" / "cat" / f"plain-{number}.png")
    scene(700, (400, 90)).save(photos / "train" / "cat" / "long.png")
    audit = look(photos)
    assert audit.totals == {"plain": 3, "aspect": 1}
    assert audit.of("aspect")[0].reason == "400 x 90 pixels"


def test_classes_that_do_not_match_are_told_and_pictures_are_compared_all_the_same(photos):
    (photos / "test" / "dog").rename(photos / "test" / "wolf")
    shutil.copy(photos / "train" / "cat" / "05.png", photos / "test" / "cat" / "again.png")
    audit = look(photos)
    assert "'wolf'" in audit.of("mismatch")[0].reason
    assert audit.totals["leak"] == 1


def test_unchanged_files_are_not_read_again_and_changed_ones_are(photos):
    target = photos / "train" / "cat" / "00.png"
    look(photos)
    about = target.stat()
    target.write_bytes(b"x" * about.st_size)
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert look(photos).totals == {}, "name, size and time are as before: it was not read"
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    assert look(photos).totals == {"unreadable": 1}


@dataclass(frozen=True, eq=False)
class BreaksOff(FileImages):
    """Files of which the user stops waiting at the last."""

    def picture_with_kind(self, index: int) -> tuple[Image.Image, str]:
        if index == len(self) - 1:
            raise KeyboardInterrupt
        return super().picture_with_kind(index)


def test_what_was_seen_is_kept_where_the_looking_is_broken_off(tmp_path):
    (tmp_path / "set" / "cat").mkdir(parents=True)
    for number in range(300):
        scene(number, (8, 8)).save(tmp_path / "set" / "cat" / f"{number:03}.bmp")
    images = open_images(str(tmp_path / "set"), DataConfig(), split="train")
    files = images.images
    stopped = BreaksOff(files.source, files.root, files.paths, files.lines, files.sizes)
    cache = SurveyCache(tmp_path / "cache", 10**9)
    with pytest.raises(KeyboardInterrupt):
        cache.surveyed(replace(images, images=stopped))
    for path in (tmp_path / "set" / "cat").iterdir():
        about = path.stat()
        path.write_bytes(b"x" * about.st_size)  # could not be read again
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert 256 <= cache.surveyed(images).readable.sum() < 300


def test_names_that_hardly_differ_are_one_class_where_labels_are_compared(photos):
    (photos / "train" / "Cat").mkdir()
    for number in range(EACH):
        shutil.copy(photos / "train" / "cat" / f"{number:02}.png", photos / "train" / "Cat" / f"{number:02}.png")
    shutil.rmtree(photos / "test")
    assert look(photos).totals == {"names": 1, "duplicate": EACH}


def test_a_damaged_survey_is_made_anew(photos):
    shutil.copy(photos / "train" / "cat" / "05.png", photos / "test" / "cat" / "again.png")
    first = look(photos)
    for kept in (photos.parent / "cache").glob("*.survey"):
        content = bytearray(kept.read_bytes())
        content[-100] ^= 1
        kept.write_bytes(content)
    assert look(photos) == first


def test_no_more_is_kept_than_allowed_and_the_longest_unused_goes_first(photos):
    cache = photos.parent / "cache"
    look(photos / "test", cache=cache)
    (old,) = cache.glob("*.survey")
    room = 2.5 * old.stat().st_size / 1e9  # for the eight pictures and not for the twenty-four
    look(photos / "train", cache=cache, cache_gb=room)
    assert list(cache.glob("*.survey")) == []
    look(photos / "test", cache=cache, cache_gb=room)
    assert [path.name for path in cache.glob("*.survey")] == [old.name]


def test_the_command_changes_no_file_of_the_user_and_fails_only_when_told_to(photos, capsys):
    (photos / "train" / "cat" / "broken.jpg").write_bytes(b"no image")
    files = sorted(photos.rglob("*"))
    before = [(path, path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in files]
    command = ["inspect", str(photos), "--cache-dir", str(photos.parent / "cache")]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "unreadable files: 1" in shown
    assert "what to do: mend or remove them" in shown
    assert main([*command, "--strict"]) == 65
    assert [
        (path, path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in sorted(photos.rglob("*"))
    ] == before
    (photos / "train" / "cat" / "broken.jpg").unlink()
    assert main([*command, "--strict"]) == 0


def test_everything_is_written_as_json_and_a_row_per_image_as_csv(photos):
    shutil.copy(photos / "train" / "cat" / "05.png", photos / "test" / "cat" / "again.png")
    shutil.rmtree(photos / "test" / "dog")
    folder = photos.parent
    main(
        [
            "inspect",
            str(photos),
            "--json",
            str(folder / "a.json"),
            "--csv",
            str(folder / "a.csv"),
            "--cache-dir",
            str(folder / "cache"),
        ]
    )
    told = json.loads((folder / "a.json").read_text())
    assert told["totals"] == {"leak": 1, "missing": 1}
    rows = rows_of(folder / "a.csv")
    assert [(row["finding"], row["kind"], row["part"], row["class"]) for row in rows] == [
        ("1", "leak", "train", "cat"), ("1", "leak", "test", "cat"), ("2", "missing", "", ""),
    ]  # fmt: skip


def test_hostile_names_are_shown_and_do_nothing(photos, capsys):
    for name in ("<script>alert(1)", "=cmd()", "\x1b[31mred", "b\u202egnp"):
        (photos / "train" / name).mkdir()
        for number in range(EACH):
            shutil.copy(photos / "train" / "cat" / f"{number:02}.png", photos / "train" / name / f"{number:02}.png")
    Path(os.fsdecode(os.fsencode(photos / "train" / "cat") + b"/<b>\xff.png")).write_bytes(b"")
    shutil.rmtree(photos / "test")
    folder = photos.parent
    paths = [str(folder / name) for name in ("a.html", "a.csv", "a.json")]
    main(
        [
            "inspect",
            str(photos),
            "--html",
            paths[0],
            "--csv",
            paths[1],
            "--json",
            paths[2],
            "--cache-dir",
            str(folder / "cache"),
        ]
    )
    assert "\x1b" not in capsys.readouterr().out
    page = (folder / "a.html").read_text(encoding="utf-8")
    assert "<b>\\" not in page
    assert "&lt;b&gt;\\udcff.png" in page
    assert "<script" not in page
    assert {row["class"] for row in rows_of(folder / "a.csv")} >= {"'=cmd()"}
    assert json.loads((folder / "a.json").read_text(encoding="utf-8"))["totals"]["conflict"] == EACH


def test_the_page_holds_its_pictures_and_loads_nothing(photos):
    Image.open(photos / "train" / "dog" / "07.png").resize((90, 90)).save(photos / "test" / "dog" / "altered.png")
    (photos / "train" / "cat" / "broken.jpg").write_bytes(b"no image")
    page = photos.parent / "a.html"
    eyas.inspect(photos, settings=DataConfig(cache_dir=str(photos.parent / "cache")), html=page)
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == text.count("src=") == text.count('src="data:image/') == 2
    assert "http" not in text.replace("http-equiv", "")
    assert "altered.png" in text
    assert "broken.jpg" in text


def test_very_large_groups_of_equal_pictures_are_listed_in_part_and_counted_whole(tmp_path):
    first = scene(0, (32, 32))
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(150):
            first.save(tmp_path / "set" / name / f"{number:03}.bmp")
    finding = only(look(tmp_path / "set"), "conflict")
    assert finding.count == 300
    assert len(finding.images) == 100
    assert {seen.label for seen in finding.images[:2]} == {"cat", "dog"}


def test_pixels_equal_but_shaped_otherwise_are_not_the_same_picture(photos):
    pixels = np.asarray(scene(800, (60, 40)))
    Image.fromarray(pixels).save(photos / "train" / "cat" / "wide.png")
    Image.fromarray(pixels.reshape(60, 40, 3)).save(photos / "train" / "dog" / "tall.png")
    assert "conflict" not in look(photos).totals


def test_in_a_set_whose_pictures_are_alike_by_nature_only_copies_are_near_duplicates(tmp_path):
    rng, ground = np.random.default_rng(0), np.asarray(scene(0), float)
    for number in range(300):
        folder = tmp_path / "set" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        detail = np.asarray(Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((96, 96)), float)
        Image.fromarray((0.9 * ground + 0.1 * detail).astype(np.uint8)).save(folder / f"{number:03}.png")
    Image.open(tmp_path / "set" / "cat" / "001.png").save(tmp_path / "set" / "cat" / "copy.jpg", quality=90)
    audit = look(tmp_path / "set")
    assert "alike by nature" in audit.notes[0]
    assert set(audit.totals) == {"near-duplicate"}
    assert audit.totals["near-duplicate"] <= 3, "of 300 pictures that all look like others"
    assert names(audit.findings[0]) == ["copy.jpg", "001.png"]


def test_a_set_of_which_nothing_can_be_read_is_told_file_by_file(tmp_path):
    (tmp_path / "set" / "cat").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "set" / "cat" / f"{number}.jpg").write_bytes(b"<html>")
    audit = look(tmp_path / "set")
    assert audit.totals == {"unreadable": 3, "few": 1}
    assert {finding.reason for finding in audit.of("unreadable")} == {
        "cannot be decoded: it is a web page or XML text (an SVG, perhaps)"
    }
    assert (audit.parts[0].unreadable, audit.parts[0].widths) == (3, None)


def test_a_list_with_numbers_is_compared_by_the_names_of_the_other_set(photos):
    lines = [
        f"{path} {number}\n"
        for number, name in enumerate(("cat", "dog"))
        for path in sorted((photos / "test" / name).iterdir())
    ]
    (photos.parent / "test.txt").write_text("".join(lines))
    (photos.parent / "classes.txt").write_text("cat\ndog\n")
    shutil.copy(photos / "train" / "cat" / "05.png", photos / "test" / "dog" / "00.png")
    audit = look(photos / "train", photos.parent / "test.txt")
    assert sorted(seen.label for seen in audit.of("conflict")[0].images) == ["cat", "dog"]
