"""All pages: no signs of a markup that they are not written in, and on a Chinese page nothing in English but names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

import eyas
from eyas.cli import main
from eyas.comparing import compare, write_page
from eyas.data.settings import DataConfig
from eyas.render.chinese import in_chinese
from tests.conftest import write_pictures
from tests.pages import Prose
from tests.runs import QUICK
from tests.test_reporting import relabelled

NAMES = {"eyas", "Wilson", "Grad", "CAM", "McNemar", "HTTP", "config", "toml", "png"}  # beside F1 and p, which are shorter
OWN = {"red", "green", "blue", "compact", "run", "chance", "blind", "good"}  # classes, the network, folders of the runs


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    """Every kind of page, of data with much to say of it: leaks, conflicts, few images, unreadable ones, other files."""
    place = tmp_path_factory.mktemp("pages")
    train, test = place / "train", place / "test"
    write_pictures(train, {"red": 24, "green": 18, "blue": 16})
    write_pictures(test, {"red": 14, "green": 14, "blue": 14}, seed=2)
    relabelled(str(test / "list.txt"), test / "wrong.txt", 6)
    for folder, picture in ((train / "green", train / "red" / "000.png"), (test / "red", train / "red" / "001.png")):
        (folder / "copy.png").write_bytes(picture.read_bytes())
    with (train / "list.txt").open("a") as file:
        file.write("green/copy.png green\n")
    with (test / "wrong.txt").open("a") as file:
        file.write("red/copy.png red\nred/broken.png red\n")
    (test / "red" / "broken.png").write_bytes(b"no picture")
    given = {**QUICK, "test": str(test / "wrong.txt"), "epochs": 4, "view": "none", "skip_unreadable": True}
    given |= {"cache_dir": str(place / "cache")}
    runs = {"good": {"val": 0.3}, "chance": {"lr": 1e-9, "epochs": 2, "plateau": 1}, "blind": {"test": None, "epochs": 1}}
    for name, more in runs.items():
        eyas.train(str(train / "list.txt"), **{**given, **more}, out=place / name)
    eyas.calibrate(place / "good", given["test"], settings=DataConfig(skip_unreadable=True))
    folders = [place / name for name in runs]
    made = {}
    for language in ("en", "zh"):
        for folder in folders:
            text = eyas.report(folder, language=language, audit=folder.name == "good", out=place / "page.html").read_text()
            made[f"report of {folder.name}, {language}"] = text
        write_page(compare(*folders), str(place / "compare.html"), language)
        made[f"compare, {language}"] = (place / "compare.html").read_text(encoding="utf-8")
    Image.new("RGB", (20, 20)).save(test / "red" / "001.png")
    made["pictures gone, zh"] = eyas.report(folders[0], language="zh", out=place / "gone.html").read_text(encoding="utf-8")
    assert main(["inspect", str(train / "list.txt"), "--against", str(test / "wrong.txt"), "--html", str(place / "a.html"),
                 "--cache-dir", str(place / "cache")]) == 0  # fmt: skip
    made["inspect"] = (place / "a.html").read_text(encoding="utf-8")
    return made


def test_no_page_has_signs_of_markdown(pages):
    served = {path.name: path.read_text(encoding="utf-8") for path in Path(eyas.__file__).parent.glob("serve/page/*.html")}
    assert served
    for name, page in (pages | served).items():
        prose = Prose(page).text
        assert "`" not in prose, name
        assert "**" not in prose, name


def test_a_chinese_page_has_no_english_words_but_names(pages):
    chinese = [name for name in pages if name.endswith("zh")]
    assert len(chinese) == 5
    for name in chinese:
        left = set(re.findall(r"[A-Za-z]{3,}", Prose(pages[name]).text)) - NAMES - OWN
        assert not left, f"{name}: {sorted(left)}"


def test_an_english_page_has_no_chinese_words(pages):
    for name, page in pages.items():
        if not name.endswith("zh"):
            assert not re.findall(r"[\u4e00-\u9fff]", Prose(page).text), name


def test_what_a_run_says_in_a_form_that_is_not_known_is_quoted():
    assert in_chinese("train.txt: 500 images, 10 classes") == "<code>train.txt</code>：500 张图片，10 个类别"
    assert in_chinese("val.txt: 9 images; chooses the best epoch") == "<code>val.txt</code>：9 张图片；用于选出最佳轮次"
    assert in_chinese("something <new> happened") == "<code>something &lt;new&gt; happened</code>"
