"""Labels and files of class names as people write them and as other programs export them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.everyday.case import Case, numbered, pictures, train, write

TITLE = "Labels and class names"
FLOWERS = ("rose", "tulip", "daisy")
ORDER = "rose 4 tulip 4 daisy 4"


def listed(labels: Sequence[str], count: int = 12, header: str = "file,label", files: dict[str, str] | None = None) -> Callable[[], None]:
    """Return what writes pictures, list.csv with these labels in turn, and further files."""

    def make() -> None:
        names = numbered(count)
        write("list.csv", header, *(f"{name},{labels[number % len(labels)]}" for number, name in enumerate(names)))
        for name, text in (files or {}).items():
            write(name, *text.split("\n"))

    return make


def classes(*expected: str) -> Callable[[], None]:
    """Return what looks whether the trained model has these classes, in this order."""

    def check() -> None:
        from eyas import Classifier

        assert Classifier.load("run").classes == expected

    return check


def _zeros() -> None:
    """Write class folders called 01, 02, 03, 10 for training and test, and a list of the first."""
    for part in ("train", "test"):
        pictures(part, ("01", "02", "03", "10"))
    write("zeros.csv", "path,label", *(f"train/{name}/{n}.png,{name}" for name in ("01", "02", "03", "10") for n in range(4)))


def _digits_and_folder() -> None:
    """Write a list labelled 0 to 2 and a test set of the folders 0 and 2."""
    listed("012")()
    pictures("test", ("0", "2"))


def _none_as_folder() -> None:
    pictures("photos", ("None", "tumour"))
    write("list.txt", *(f"photos/{name}/{n}.png" for name in ("None", "tumour") for n in range(4)))


def _folders(*names_of: str, names: str) -> Callable[[], None]:
    """Return what writes a folder for each class, and a file of class names."""

    def make() -> None:
        pictures("photos", names_of)
        write("names.txt", *names.split("\n"))

    return make


def named(what: str, file: str, text: str, *says: str, labels: Sequence[str] = "012") -> Case:
    """Return the case of a class file that names rose, tulip and daisy."""
    return Case(what, listed(labels, files={file: text}), train("list.csv", f"--val 0.25 --classes {file}"), says or ("3 classes",), check=classes(*FLOWERS))


def seen(what: str, labels: Sequence[str], *says: str, file: str = "", text: str = "") -> Case:
    """Return a case that is looked at and not trained on: inspect shows the classes in their order."""
    return Case(what, listed(labels, files={file: text} if file else {}), f"inspect list.csv --classes {file}" if file else "inspect list.csv", says)


def refused(what: str, file: str, text: str, *says: str, labels: Sequence[str] = "012") -> Case:
    return Case(what, listed(labels, files={file: text}), train("list.csv", f"--val 0.25 --classes {file}"), says, 65)


def doubtful(what: str, labels: Sequence[str], *says: str, command: str = "train list.csv --val 0.25") -> Case:
    return Case(what, listed(labels, 24), command, says, 65)


CASES = (
    Case("ages 0_2, 4_6", listed(("0_2", "4_6", "8_13", "15_20"), header="file,age"), train("list.csv", "--val 0.25"), ("4 classes",), check=classes("0_2", "15_20", "4_6", "8_13")),
    Case("grades 0.5, 1.0", listed(("0.5", "1.0", "1.5", "2.0"), header="file,grade"), train("list.csv", "--val 0.25"), ("4 classes",), check=classes("0.5", "1.0", "1.5", "2.0")),
    Case("names 1e5, 2e5", listed(("1e5", "2e5")), train("list.csv", "--val 0.25"), ("2 classes",), check=classes("1e5", "2e5")),
    Case(
        "digits and an X", listed([*"0123", *"0123", *"0123", *"0123", *"012X"], 20), train("list.csv", "--val 0.2"),
        ("some labels are numbers, some are not (X): all are taken as names",), check=classes("0", "1", "2", "3", "X"),
    ),
    Case(
        "labels 01, 02, 10, and folders of these names as the test set", _zeros, train("zeros.csv", "--test test"),
        ("4 classes", "test: 16 images"), check=classes("01", "02", "03", "10"),
    ),
    Case("labels 01, 02, 03, 10", _zeros, train("zeros.csv", "--val 0.25"), ("4 classes",), check=classes("01", "02", "03", "10")),
    Case("years", listed(("1990", "2000")), train("list.csv", "--val 0.25"), ("the labels are numbers with gaps (1990 to 2000): they are taken as names",), check=classes("1990", "2000")),
    Case("labels -1 and 1", listed(("-1", "1")), train("list.csv", "--val 0.25"), ("2 classes",), check=classes("-1", "1")),
    Case("class names with a letter that nobody sees", listed(("cat", "dog", "cat\u200b")), train("list.csv", "--val 0.25"),
         ("two classes look alike and are kept apart: 'cat' and 'cat\\u200b'",), check=classes("cat", "cat\u200b", "dog")),
    Case("class folders with a letter that nobody sees", lambda: pictures("photos", ("cat", "cat\ufeff")), train("photos"),
         ("classes whose names hardly differ: 'cat' and 'cat\\ufeff'",)),
    Case("bar codes", listed(("5000112637922", "4006381333931")), train("list.csv", "--val 0.25"), ("2 classes",), check=classes("4006381333931", "5000112637922")),
    seen("numbers 0, 1, 3", "013", "0 4 1 4 3 4", "no label is 2: the classes are the 3 numbers that occur"),
    seen("numbers 2, 10, 30", ("10", "2", "30"), "2 4 10 4 30 4", "the labels are numbers with gaps (2 to 30): they are taken as names"),
    seen("numbers as pandas writes them", ("0.0", "1.0", "2.0"), "0 4 1 4 2 4", "labels such as 1.0 are read as the numbers 1"),
    Case("a list of 0 to 2, and folders 0 and 2 as the test set", _digits_and_folder, train("list.csv", "--test test"), ("test has no image of 1 of 3 classes: 1",), check=classes("0", "1", "2")),
    doubtful("-1 among 0, 1, 2", [*"012" * 7, "0", "1", "-1"], "list.csv:25: label -1 often marks an image without a label: leave the line out, or name it in a class file (--classes FILE) if it is a class"),
    doubtful("255 among 0, 1, 2", [*"012" * 7, "0", "1", "255"], "list.csv:25: label 255 lies far from the others (0 to 2)"),
    doubtful("1O among 0 and 1", [*"01" * 11, "0", "1O"], "list.csv:25: label '1O' is not a whole number, as most labels are"),
    doubtful("the label nan", ("cat", "dog", "nan"), "list.csv:4: label 'nan' usually means that there is none: leave the line out, or name it in a class file (--classes FILE) if it is a class"),
    doubtful("an empty label", ("cat", "dog", ""), "list.csv:4: the label is missing"),
    doubtful("the label N/A, in inspect", ("0", "1", "N/A"), "label 'N/A' usually means that there is none", command="inspect list.csv --strict"),
    seen("the label NA, which a class file names", ("NA", "EU"), "EU 6 NA 6", file="names.txt", text="EU\nNA"),
    Case("a folder called None", _none_as_folder, "inspect list.txt", ("None 4 tumour 4",)),
    named("class names in CSV with a header", "header.csv", "id,Flower\n0,rose\n1,tulip\n2,daisy", "header.csv: its first line is a heading: id, Flower"),
    named("class names under a header", "header.txt", "class\nrose\ntulip\ndaisy", "header.txt: its first line is a heading: class"),
    named("class names under a comment", "comment.txt", "# my classes\nrose\ntulip\ndaisy", "comment.txt: 1 comment line left out"),
    named("class names in JSON, by number", "class_indices.json", '{\n    "0": "rose",\n    "1": "tulip",\n    "2": "daisy"\n}'),
    named("class names in the YAML of a detector", "data.yaml", "train: t\nval: v\nnames:\n  0: rose\n  1: tulip\n  2: daisy"),
    named("numbered class names with a gap, and labels 0, 1, 5", "gap.txt", "0 rose\n1 tulip\n5 daisy", labels="015"),
    refused("the same, and labels 0, 1, 2", "gap.txt", "0 rose\n1 tulip\n5 daisy", "list.csv:4: label 2 is out of range: gap.txt names 3 classes (0 to 5, with gaps)"),
    seen("class names in JSON, with their numbers", "012", ORDER, file="class_to_idx.json", text='{"daisy": 2, "rose": 0, "tulip": 1}'),
    seen("class names in JSON, as a list", "012", ORDER, file="names.json", text='["rose", "tulip", "daisy"]'),
    seen("class names in one line of YAML", "012", ORDER, file="data.yaml", text="nc: 3\nnames: ['rose', 'tulip', 'daisy']"),
    seen("class names in quotation marks", "012", ORDER, file="names.txt", text='"rose"\n"tulip"\n"daisy"'),
    seen("class names in more columns", "123", ORDER, "column not used: Latin", file="names.csv", text="Id;Name;Latin\n1;rose;Rosa\n2;tulip;Tulipa\n3;daisy;Bellis"),
    seen("a dictionary printed by Python", "012", ORDER, file="names.txt", text="{0: 'rose', 1: 'tulip', 2: 'daisy'}"),
    refused("a header, and labels that could count it", "names.txt", "label\nrose\ntulip\ndaisy", "names.txt:1: is 'label' a heading or a class? If a heading, delete the line", labels="01"),
    refused("class names of which one has no number", "names.txt", "0 rose\ntulip\n2 daisy", "names.txt:2: 'tulip': the number of the class is missing"),
    refused("an empty line among class names", "names.txt", "rose\n\ntulip\ndaisy", "names.txt:2: an empty line between two classes"),
    seen("numbered class names with full-width signs", "012", ORDER, file="names.txt", text="2：daisy\n0：rose\n1：tulip"),
    seen("numbered class names with arrows", "012", ORDER, file="names.txt", text="0 -> rose\n1 -> tulip\n2 -> daisy"),
    refused("names that begin with numbers in another order", "names.txt", "2-daisy\n0-rose\n1-tulip", "names.txt:1: '2-daisy': are the numbers in the names those of the classes?"),
    refused("the settings of Darknet", "obj.data", "classes = 3\ntrain = t.txt\nnames = obj.names", "obj.data:1: settings (name = value), no class names"),
    Case("class folders, and a file of their names in another order", _folders("cat", "dog", names="dog\ncat\nemu"), train("photos", "--classes names.txt"),
         ("photos has no image of 1 of 3 classes: emu",), check=classes("dog", "cat", "emu")),
    Case("class folders 0 and 1, and a file of names", _folders("0", "1", names="cat\ndog"), train("photos", "--classes names.txt"), ("2 classes",), check=classes("cat", "dog")),
    Case("class folders, and a file that does not name one of them", _folders("cat", "dog", "emu", names="Cat\ndog\nemu"), train("photos", "--classes names.txt"),
         ("photos/cat: names.txt names no class 'cat'. Did you mean 'Cat'?",), 65),
    Case("a named set, and a file of class names", _folders("cat", names="cat\ndog"), "inspect digits --classes names.txt",
         ("digits: has names of its own; --classes is for lists and folders",)),
    refused("a label map of TensorFlow", "label_map.pbtxt", "item {\n  id: 1\n  name: 'rose'\n}", "label_map.pbtxt:1: 'item {' is no class name"),
    refused("fewer class names than labels", "names.txt", "rose\ntulip", "list.csv:4: label 2 is out of range: names.txt names 2 classes (0 to 1)"),
    Case(
        "more class names than labels", listed("012", files={"names.txt": "rose\ntulip\ndaisy\niris"}), train("list.csv", "--val 0.25 --classes names.txt"),
        ("list.csv has no image of 1 of 4 classes: iris",), check=classes(*FLOWERS, "iris"),
    ),
    refused("labels 1 and 2, and three class names without numbers", "names.txt", "rose\ntulip\ndaisy", "do labels count from 0 or from 1? Pass --first-label 0 or 1", labels="12"),
)  # fmt: skip
