"""Class files as people and programs write them: every form is read rightly or refused by line, never shifted by one."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eyas.data.lists.class_markup import as_number
from eyas.data.lists.class_names import ClassNames, read_class_names
from eyas.errors import DataError

FLOWERS = ("rose", "tulip", "daisy")


def read(folder: Path, text: str, name: str = "names.txt") -> ClassNames:
    (folder / name).write_text(text, encoding="utf-8")
    return read_class_names(folder / name)


@pytest.mark.parametrize(
    "text",
    [
        "rose\ntulip\ndaisy\n", "rose\r\ntulip\r\ndaisy", "\ufeffrose\ntulip\ndaisy\n", "\n\nrose\ntulip\ndaisy\n\n\n",
        "# my classes\nrose\ntulip\n\n# white ones\n\ndaisy\n", "'rose'\n'tulip'\n'daisy'\n", '"rose"\n"tulip"\n"daisy"\n',
        '"rose",\n"tulip",\n"daisy"\n', "rose,\ntulip,\ndaisy,\n", "- rose\n- tulip\n- daisy\n", '["rose", "tulip", "daisy"]',
        "['rose', 'tulip',\n 'daisy']\n", '{"names": ["rose", "tulip", "daisy"]}', "nc: 3\nnames: ['rose', 'tulip', 'daisy']\n",
        "names: [rose,\n  tulip, \"daisy\"] # mine\n", "names:\n- rose\n- tulip # red\n- 'daisy'\n", "train: t\nnames:\n  - rose\n  - tulip\n  - daisy\nnc: 3\n",
        "name,latin\nrose,Rosa\ntulip,Tulipa\ndaisy,Bellis\n", "class,count\nrose,120\ntulip,98\ndaisy,7\n",
    ],
)  # fmt: skip
def test_names_alone_stand_for_the_numbers_from_the_first_line_on(tmp_path, text):
    found = read(tmp_path, text)
    assert (found.names, found.numbers, found.heading) == (FLOWERS, None, "")


@pytest.mark.parametrize(
    "text",
    [
        "0 rose\n1 tulip\n2 daisy\n", "2 daisy\n0 rose\n\n1 tulip\n", "0: rose\n1: tulip\n2: daisy\n", "0. rose\n1. tulip\n2. daisy\n",
        "0\trose\n1\ttulip\n2\tdaisy\n", "0,rose\n1,tulip\n2,daisy\n", "rose 0\ntulip 1\ndaisy 2\n", "rose,0\ntulip,1\ndaisy,2\n",
        "rose = 0\ntulip = 1\ndaisy = 2\n", "id,Flower\n0,rose\n1,tulip\n2,daisy\n", "Flower;Nr\nrose;0\ntulip;1\ndaisy;2\n",
        ",name\n0,rose\n1,tulip\n2,daisy\n", ",0\n0,rose\n1,tulip\n2,daisy\n", "Class Number Name\n0 rose\n1 tulip\n2 daisy\n",
        '"id","name"\n"0","rose"\n"1","tulip"\n"2","daisy"\n', "id,name,latin\n0,rose,Rosa\n1,tulip,Tulipa\n2,daisy,Bellis\n",
        "编号,名称\n0,rose\n1,tulip\n2,daisy\n", "index\tlabel\n0\trose\n1\ttulip\n2\tdaisy\n", "0 'rose',\n1 'tulip',\n2 'daisy'\n",
        '{"0": "rose", "1": "tulip", "2": "daisy"}', '{"daisy": 2, "rose": 0, "tulip": 1}', "{0: 'rose', 1: 'tulip', 2: 'daisy'}\n",
        "names:\n  0: rose\n  1: tulip\n  2: daisy\n", "names: {0: rose, 1: 'tulip', 2: daisy}\n", "names:\n  rose: 0\n  tulip: 1\n  daisy: 2\n",
    ],
)  # fmt: skip
def test_numbers_in_the_file_are_the_numbers_of_the_classes(tmp_path, text):
    found = read(tmp_path, text)
    assert (found.names, found.numbers) == (FLOWERS, (0, 1, 2))


@pytest.mark.parametrize("text", ["0 rose\n1 tulip\n5 daisy\n", '{"5": "daisy", "0": "rose", "1": "tulip"}', "id,name\n0,rose\n5,daisy\n1,tulip\n"])
def test_numbers_may_have_gaps(tmp_path, text):
    found = read(tmp_path, text)
    assert (found.names, found.numbers) == (FLOWERS, (0, 1, 5))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("tench, Tinca tinca\ngoldfish\n", ("tench, Tinca tinca", "goldfish")),
        ("n01440764 tench, Tinca tinca\nn01443537 goldfish\n", ("n01440764 tench, Tinca tinca", "n01443537 goldfish")),
        ("type 1\ntype 2\nother\n", ("type 1", "type 2", "other")),
        ("Boeing 737\nAirbus 320\n", ("Boeing 737", "Airbus 320")),
        ("3 musketeers\ncola\n7 up\nsprite\n", ("3 musketeers", "cola", "7 up", "sprite")),
        ('"7 up"\n"3 musketeers"\n', ("7 up", "3 musketeers")),
        ('"#1"\n"a # b"\n', ("#1", "a # b")),
        ("no\nyes\n", ("no", "yes")),
        ("names: [yes, no, 1.5, 'it''s']\n", ("yes", "no", "1.5", "it's")),
        ("001.Albatross\n002.Auklet\n", ("001.Albatross", "002.Auklet")),
    ],
)  # fmt: skip
def test_numbers_and_commas_that_belong_to_names_stay_in_them(tmp_path, text, names):
    found = read(tmp_path, text)
    assert (found.names, found.numbers) == (names, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 rose\ntulip\n2 daisy\n", "2: 'tulip': the number of the class is missing"),
        ("rose\n1 tulip\n2 daisy\n", "1: 'rose': the number of the class is missing"),
        ("0 rose\n1 tulip\n1 daisy\n", "3: the number 1 is given twice: in line 2 too"),
        ("0 rose\n1 tulip\n2 rose\n", "3: the class 'rose' is named twice: in line 1 too"),
        ("rose\ntulip\nrose\n", "3: the class 'rose' is named twice: in line 1 too"),
        ("00 rose\n01 tulip\n", "1: '00 rose': the number of the class is written with a leading zero"),
        ("5 rose\n9 tulip\n", "1: are these numbers those of the classes"),
        ("rose\n\ntulip\n", "2: an empty line between two classes"),
        ("rose # red\ntulip\n", "1: 'rose # red' is no class name"), ("#rose\ntulip\n", "1: '#rose' is no class name"),
        ("// mine\nrose\n", "1: '// mine' is no class name"), ("item {\n  id: 1\n}\n", "1: 'item {' is no class name"),
        ("names = [\n 'rose',\n]\n", r"1: 'names = \[' is no class name"), ("<classes>\n<c>rose</c>\n", "1: '<classes>' is no class name"),
        ("rose, tulip, daisy\n", "1: all names in one line"), ('"rose\ntulip\n', "1: \"rose: quotation marks stand around"),
        ("'rose'\ntulip\n", "1: 'rose': quotation marks stand"), ("rose,\ntulip\ndaisy\n", "1: the line ends with a separator"),
        ("n02119789 1 kit_fox\nn02100735 2 setter\n", "1: three columns, the number in the middle"),
        ("n01440764\ttench\nn01443537\tgoldfish\n", "1: which column holds the names"), ("0,rose,Rosa\n1,tulip,Tulipa\n", "1: which column holds the names"),
        ("id,name\n01,rose\n02,tulip\n", "1: which column holds the classes' numbers"), ("rose,120\ntulip,98\n", "1: which column holds the classes' numbers"),
        ("id,name\n0,tench, Tinca\n1,goldfish\n", "2: 3 columns, where the other lines have 2"),
        ('{"rose": 0, "rose": 1}', "1: the class 'rose' is named twice"), ('{"0": "rose",\n "1": ["tulip", "t"]}', "2: what stands for '1' is no name"),
        ('{"0": "1990", "1": "2000"}', "1: both sides are numbers"),
        ('{"00": "rose", "01": "tulip"}', "1: neither '00' nor 'rose' is a number"), ('{"id":0,"name":"a"}\n{"id":1,"name":"b"}\n', "1: neither 'name' nor"),
        ('{"a":0,"b":1}\n{"c":2}\n', "2: this is no list of names"), ("nc: 2\nnames: [rose, tulip, daisy]\n", "1: nc is 2, but 3 names are given"), ("names:\n  0: rose\n  1:\n    tulip\n", "3: neither '- name' nor"),
        ("names: flowers.txt\n", "1: 'names:' is followed by neither"), ("names:\n  0: Mr: x\n", "2: Mr: x: YAML means more"),
        ("names: ['rose', 'tulip'\nnc: 2\n", "2: this is no list of names"), ("names: [rose]\nnames: [tulip]\n", "2: a second 'names:'"),
    ],
)  # fmt: skip
def test_what_may_be_meant_in_two_ways_is_refused_by_line(tmp_path, text, message):
    with pytest.raises(DataError, match=f"names.txt:{message}"):
        read(tmp_path, text)


def test_json_and_yaml_are_also_known_by_their_endings(tmp_path):
    with pytest.raises(DataError, match=r"names.json:2: this is no JSON"):
        read(tmp_path, "{\n'0': 'rose'}", "names.json")
    with pytest.raises(DataError, match=r"data.yaml:1: this YAML has no 'names:'"):
        read(tmp_path, "path: x\n", "data.yaml")


def test_a_first_line_that_may_be_a_heading_is_left_to_the_labels(tmp_path):
    found = read(tmp_path, "class\nrose\ntulip\ndaisy\n")
    assert (found.names, found.heading) == (FLOWERS, "class")


# Property: whatever is generated is found again, or refused with its line.

WORDS = st.sampled_from(
    ["class", "name", "id", "label", "rose", "Rose", "猫", "٣", "é", "no", "null", "NA", "~", "7 up", "type 1", "0", "1", "2", "01", "1e5",
     "a, b", "a; b", "it's", 'a "b" c', "'x'", "#x", "a # b", "a: b", "[a]", "{a}", "a\tb", "a  b", "-1", "1.5", "=1+1", "n01 fish", "names:"]
)  # fmt: skip
NAMES = st.lists(WORDS | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=6), min_size=2, max_size=6, unique=True)
NUMBERS = st.lists(st.integers(0, 9), min_size=6, max_size=6, unique=True) | st.permutations(range(6)) | st.just(range(6)) | st.just(range(1, 7))


def table(rows: list[list[object]], separator: str = ",") -> str:
    made = io.StringIO()
    csv.writer(made, delimiter=separator, lineterminator="\n").writerows(rows)
    return made.getvalue()


def plain(name: str) -> str:
    return name if re.fullmatch(r"\w[\w .]*", name) and name not in ("names", "nc") else quoted(name)


def quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


ALONE = {
    "names.txt": lambda names: "\n".join(names), "comment.txt": lambda names: "# mine\n" + "\n".join(names), "names.csv": lambda names: table([[n] for n in names]),
    "names.json": json.dumps, "lines.json": lambda names: json.dumps(names, ensure_ascii=False, indent=1), "python.txt": repr,
    "flow.yaml": lambda names: f"names: [{', '.join(map(quoted, names))}]\nnc: {len(names)}\n", "plain.yaml": lambda names: f"names: [{', '.join(map(plain, names))}]\n",
    "block.yaml": lambda names: "names:\n" + "".join(f"- {plain(name)}\n" for name in names), "commas.txt": lambda names: ",\n".join('"' + name.replace('"', '""') + '"' for name in names),
}  # fmt: skip
NUMBERED = {
    "before.txt": lambda pairs: "".join(f"{number} {name}\n" for number, name in pairs), "colon.txt": lambda pairs: "".join(f"{number}: {name}\n" for number, name in pairs),
    "after.txt": lambda pairs: "".join(f"{name}\t{number}\n" for number, name in pairs), "heading.txt": lambda pairs: "id name\n" + "".join(f"{number} {name}\n" for number, name in pairs),
    "id.csv": lambda pairs: table([["id", "Flower"], *map(list, pairs)]), "name.csv": lambda pairs: table([["name", "id"], *([name, number] for number, name in pairs)]),
    "bare.csv": lambda pairs: table(list(map(list, pairs))), "more.csv": lambda pairs: table([["index", "class", "count"], *([number, name, 7] for number, name in pairs)], ";"),
    "number.json": lambda pairs: json.dumps({str(number): name for number, name in pairs}), "name.json": lambda pairs: json.dumps({name: number for number, name in pairs}),
    "number.yaml": lambda pairs: "names:\n" + "".join(f"  {number}: {plain(name)}\n" for number, name in pairs), "python.txt": lambda pairs: repr(dict(pairs)),
}  # fmt: skip


def found_or_refused(folder: Path, name: str, text: str) -> ClassNames | None:
    try:
        return read(folder, text, name)
    except DataError as error:
        assert re.match(rf"{re.escape(str(folder / name))}:\d+: ", str(error)), "the message names the line"
        return None


def tried(times: int):
    return settings(max_examples=times, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@tried(250)
@given(NAMES, st.sampled_from(list(ALONE)))
def test_names_are_found_again_or_refused(tmp_path_factory, names, form):
    found = found_or_refused(tmp_path_factory.getbasetemp(), form, ALONE[form](names))
    if found is not None:
        assert [found.heading, *found.names][not found.heading :] == names
        assert found.numbers is None or list(found.numbers) == [as_number(name) for name in found.names]


@tried(300)
@given(NAMES, NUMBERS, st.sampled_from(list(NUMBERED)))
def test_numbered_names_are_found_again_or_refused(tmp_path_factory, names, numbers, form):
    pairs = list(zip(numbers, names, strict=False))
    found = found_or_refused(tmp_path_factory.getbasetemp(), form, NUMBERED[form](pairs))
    if found is not None:
        assert not found.heading
        assert list(zip(found.numbers or (), found.names, strict=True)) == sorted(pairs)
