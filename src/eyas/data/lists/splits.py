"""The words that name a split, in lists and as folders: train, val, test and their common spellings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

import numpy as np

from eyas.data.images.packed import Coded

SPLITS = ("train", "val", "test")
_WORDS = {
    "train": "train", "training": "train", "trn": "train", "trainval": "train", "训练": "train",
    "val": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val", "publictest": "val",
    "验证": "val",
    "test": "test", "testing": "test", "tst": "test", "eval": "test", "evaluation": "test", "holdout": "test",
    "heldout": "test", "privatetest": "test", "测试": "test",
}  # fmt: skip
_SHORT = {"tr": "train", "va": "val", "vl": "val", "te": "test", "ts": "test"}  # under a header of `TITLES` only
TITLES = frozenset(("split", "set", "subset", "partition", "dataset", "usage", "fold", "phase"))
_BESIDE = re.compile(r"(set|split|data|images?|集|数据)$")  # what may follow such a word: `test set`, `train_images`
YES = frozenset(("1", "1.", "1.0", "1.00", "True", "TRUE", "true"))
NO = frozenset(("0", "0.", "0.0", "0.00", "False", "FALSE", "false"))
MINUS = frozenset(("-1", "-1.0"))  # for no, where nothing is 0
_YES, _NO = frozenset(("true", "yes", "1", "1.0", "t", "y")), frozenset(("false", "no", "0", "0.0", "f", "n"))
BESIDE = "beside"  # pictures without labels, and what is said of pictures by other means than folders
_ASIDE = frozenset(
    ("pred", "prediction", "predictions", "unlabeled", "unlabelled", "unsup", "unknown", "annotation", "annotations",
     "annot", "label", "labels", "mask", "masks", "gt", "groundtruth", "bbox", "bboxes", "boxes", "json", "xml", "csv",
     "txt", "meta", "metadata")
)  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_CERTAIN, _LIKELY = re.compile(r"^is[\W_]*"), frozenset(("split", "partition", "subset"))


def split_of(word: str) -> str:
    """Return the split that a word names, or the word itself in lower case."""
    return named_split(word) or word.strip().lower()


def named_split(word: str) -> str:
    """Return the split that a word names, "" where it names none."""
    plain = _plain(word)
    return _WORDS.get(plain) or _WORDS.get(_BESIDE.sub("", plain), "")


def meanings(title: str, words: Collection[str]) -> dict[str, str]:
    """Return what each word of a column that names the split means, under its header `title` ("" for none)."""
    flagged = _flagged(title)
    if flagged and {word.strip().lower() for word in words} <= _YES | _NO:
        rest = "test" if flagged == "train" else "train"
        return {word: flagged if word.strip().lower() in _YES else rest for word in words}
    short = _SHORT if _plain(title) in TITLES else {}
    return {word: short.get(_plain(word)) or split_of(word) for word in words}


def names_split(title: str, words: Collection[str]) -> bool:
    """Tell whether a column names the split: by its words, whatever its header; a few others may be among them."""
    flag = _flagged(title) and _CERTAIN.match(title.strip().lower())
    found = meanings(title if flag or _plain(title) in TITLES else "", words).values()
    known = [split for split in found if split in SPLITS]
    return bool(known) and (len(known) == len(found) or (len(set(known)) > 1 and 2 * len(known) > len(found)))


def titled_split(title: str) -> bool:
    """Tell whether a header says that its column names the split."""
    return _plain(title) in _LIKELY


def may_name_split(title: str, words: Collection[str]) -> bool:
    """Tell whether a column may name the split in words that are not known, such as 0, 1 and 2 under `partition`."""
    flags = bool(_flagged(title)) and set(meanings(title, words).values()) <= set(SPLITS)
    return flags or titled_split(title)


def flag_of(title: str, words: Collection[str]) -> str:
    """Return the split that a column of yes and no marks the lines of, such as val under `is_valid`, or ""."""
    return _flagged(title) if {word.strip().lower() for word in words} <= _YES | _NO else ""


def of_flags(splits: Sequence[str], columns: Sequence[Coded]) -> Coded:
    """Return each line's split by the columns that mark one each: where none does, the line is for training.

    Lines that several mark, or none where training has a mark too, get another word, such as `test+val` and "".
    """
    said = np.zeros(len(columns[0]), np.int64)
    for bit, column in enumerate(columns):
        said += np.array([word.strip().lower() in _YES for word in column.texts], np.int64)[column.codes] << bit
    found, codes = np.unique(said, return_inverse=True)
    marked = ["+".join(split for bit, split in enumerate(splits) if number >> bit & 1) for number in found.tolist()]
    rest = "" if "train" in splits else "train"
    return Coded(codes.astype(np.int32), [word or rest for word in marked])


def _flagged(title: str) -> str:
    """Return the split that a header such as `is_valid` asks for, "" where it asks for none."""
    return named_split(_CERTAIN.sub("", title.strip().lower()))


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def kind_of(name: str) -> tuple[str, str]:
    """Return the split that a folder's name stands for (or `BESIDE`, or "") and what else the name says."""
    words = words_in(name)
    kind = {word: named_split(word) or (BESIDE if word in _ASIDE else "") for word in (*words, "".join(words))}
    if whole := kind["".join(words)]:
        return whole, ""
    kinds = {kind[word] for word in words} - {""}
    kinds = {"train"} if kinds == {"train", "val"} else kinds
    return (kinds.pop() if len(kinds) == 1 else ""), " ".join(word for word in words if not kind[word])


def words_in(name: str) -> list[str]:
    """Return the words of a folder's name: seg_train, MyTrain and train2017 hold the word train."""
    return [word.casefold() for word in _WORD.findall(unicodedata.normalize("NFKC", name))]
