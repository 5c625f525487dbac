"""What a data spec means, and the data set of a text file in a plain PyTorch loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from eyas import ImageTxtDataset
from eyas.config.data import DataConfig
from eyas.config.predict import PredictConfig
from eyas.config.run_config import RunConfig
from eyas.data.run_sets import open_sets
from eyas.data.spec import export_named, open_images, spec_of
from eyas.errors import DataError, SettingsError
from eyas.predicting.inputs import images_in


def picture(path: Path, color: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), color).save(path)


def small_list(folder: Path, count: int = 6) -> Path:
    for number in range(count):
        picture(folder / "img" / f"{number}.png", f"rgb({number * 9},0,0)")
    path = folder / "train.txt"
    path.write_text("".join(f"img/{number}.png {number % 3}\n" for number in range(count)))
    return path


def config(**settings: object) -> DataConfig:
    return DataConfig.model_validate(settings)


def own(train: str) -> tuple[str | None, str | None]:
    """Return the validation and the test set that a training set brings along."""
    settings = config(train=train)
    return spec_of(settings, "val"), spec_of(settings, "test")


def test_a_list_is_opened(tmp_path: Path) -> None:
    images = open_images(str(small_list(tmp_path)), config(), split="train")
    assert (len(images), images.classes, images.named) == (6, ("0", "1", "2"), False)


def test_a_folder_per_class_is_opened_in_sorted_order(tmp_path: Path) -> None:
    for name in ("dog/1.png", "cat/deep/2.PNG", "cat/1.png", ".hidden/1.png"):
        picture(tmp_path / name)
    picture(tmp_path / "cat" / "._1.png")
    (tmp_path / "..hidden").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "emu").mkdir()
    images = open_images(str(tmp_path), config(), split="train")
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [0, 0, 1]
    assert [Path(images.place(i)).relative_to(tmp_path).as_posix() for i in range(3)] == [
        "cat/1.png",
        "cat/deep/2.PNG",
        "dog/1.png",
    ]
    left_out = "1 .txt, 3 hidden (..hidden, .hidden, cat/._1.png), 1 folder without images (emu)"
    assert images.notes == (f"{tmp_path}: left out: {left_out}",)


def test_a_folder_with_train_and_test_in_it_is_opened_by_split(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "cat" / "1.png")
    picture(tmp_path / "valid" / "cat" / "2.png")
    spec = str(tmp_path)
    assert open_images(spec, config(), split="train").place(0).endswith("train/cat/1.png")
    assert open_images(spec, config(), split="val").place(0).endswith("valid/cat/2.png")
    assert own(spec) == (spec, None)
    with pytest.raises(
        DataError, match=rf"none for 'test'\. Name the one to use: {tmp_path / 'valid'} or {tmp_path / 'train'}$"
    ):
        open_images(spec, config(), split="test")


def test_a_list_with_a_split_column_has_its_own_test_set(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png")
    path = tmp_path / "all.csv"
    path.write_text("path,label,split\n0.png,cat,train\n1.png,dog,train\n2.png,cat,test\n")
    assert own(str(path)) == (None, str(path))
    assert len(open_images(str(path), config(), split="train")) == 2


def test_a_named_set_has_its_own_test_split() -> None:
    assert own("cifar10") == (None, "cifar10:test")
    assert own("cifar10:test") == (None, None)
    assert own("dtd") == ("dtd:val", "dtd:test")
    assert len(open_images("digits:test", config(), split="train")) == 359


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("digts", SettingsError, "Did you mean 'digits'"),
        ("none.txt", DataError, "there is no such list"),
        ("some/where", DataError, "there is no such file or folder"),
    ],
)
def test_an_unknown_spec_is_an_error_that_helps(spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_images(spec, config(), split="train")


def test_a_text_file_works_in_a_plain_loader_with_torchvisions_transforms(tmp_path: Path) -> None:
    transform = v2.Compose([v2.Resize((8, 8)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    dataset = ImageTxtDataset(small_list(tmp_path), transform=transform)
    for workers in (0, 1):  # PyTorch warns of more processes than cores
        batches = list(DataLoader(dataset, batch_size=4, num_workers=workers))
        assert [tuple(images.shape) for images, _ in batches] == [(4, 3, 8, 8), (2, 3, 8, 8)]
        assert torch.cat([labels for _, labels in batches]).tolist() == dataset.targets


def photos(folder: Path) -> Path:
    """Write the layout of tutorials: train.txt beside images/, the names in the list without that folder."""
    for number in range(4):
        picture(folder / "images" / f"{number}.png")
    (folder / "train.txt").write_text("".join(f"{number}.png {number % 2}\n" for number in range(4)))
    return folder / "train.txt"


@pytest.mark.parametrize("text", [str, Path])
@pytest.mark.parametrize("root", ["images", "all of it"])
def test_the_signature_of_tutorials_works(tmp_path: Path, monkeypatch, text, root) -> None:
    transform = v2.Compose([v2.Resize((8, 8)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    path, folder = photos(tmp_path), tmp_path / "images" if root == "all of it" else Path(root)
    for dataset in (
        ImageTxtDataset(text(path), text(folder), transform),
        ImageTxtDataset(text(path), root=text(folder), transform=transform),
        ImageTxtDataset(text(path), text(folder), ["cat", "dog"], transform),
        ImageTxtDataset(text(path), text(folder), transform, classes=["cat", "dog"]),
        ImageTxtDataset(text(path), text(folder), transform, lambda label: label),
    ):
        ((images, labels),) = DataLoader(dataset, batch_size=4)
        assert tuple(images.shape) == (4, 3, 8, 8)
        assert labels.tolist() == [0, 1, 0, 1]


def test_a_transform_may_stand_where_the_folder_would_and_one_of_the_labels_behind_it(tmp_path: Path, monkeypatch) -> None:
    for number in range(2):
        picture(tmp_path / f"{number}.png")
    (tmp_path / "train.txt").write_text("0.png 0\n1.png 1\n")
    assert ImageTxtDataset(tmp_path / "train.txt", lambda image: image.mode)[1] == ("RGB", 1)
    assert ImageTxtDataset(tmp_path / "train.txt", lambda image: image.mode, lambda label: -label)[1] == ("RGB", -1)
    assert ImageTxtDataset(tmp_path / "train.txt", None, None, lambda label: -label)[1][1] == -1
    monkeypatch.chdir(tmp_path)
    assert ImageTxtDataset("train.txt", ".", lambda image: image.mode)[0] == ("RGB", 0)


def test_without_a_transform_a_text_file_gives_pil_images(tmp_path: Path) -> None:
    dataset = ImageTxtDataset(small_list(tmp_path), classes=["cat", "dog", "emu"])
    image, label = dataset[-1]
    assert (image.mode, image.size, label, type(label)) == ("RGB", (6, 4), 2, int)
    assert dataset.class_to_idx == {"cat": 0, "dog": 1, "emu": 2}
    with pytest.raises(IndexError):
        dataset[6]


def test_class_names_may_be_given_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\nemu\n")
    assert ImageTxtDataset(small_list(tmp_path), classes=tmp_path / "names.txt").classes == [
        "cat",
        "dog",
        "emu",
    ]


def test_an_exported_set_is_read_back_as_it_was(tmp_path: Path) -> None:
    written = export_named("digits", tmp_path / "out", config())
    assert [path.name for path in written] == ["train.txt", "test.txt", "classes.txt"]
    before = open_images("digits:test", config(), split="test")
    after = open_images(str(tmp_path / "out" / "test.txt"), config(), split="test")
    assert (after.classes, after.named, after.ordered) == (before.classes, True, True)
    assert np.array_equal(before.labels, after.labels)
    assert all(torch.equal(before.image(i), after.image(i)) for i in range(0, 359, 20))
    with pytest.raises(SettingsError, match="not empty"):
        export_named("digits", tmp_path / "out", config())


def test_lines_of_a_test_set_are_read_only_where_they_are_asked_for(tmp_path):
    path = small_list(tmp_path)
    names = [line.split()[0] for line in path.read_text().splitlines()]
    lines = [f"{name},{'ab'[i % 2]},{('train', 'test')[i == 1]},m" for i, name in enumerate(names * 2)][: len(names)]
    path = tmp_path / "split.csv"
    path.write_text("\n".join(["file,label,part,sex", *lines]) + "\n", "utf-8")
    with pytest.raises(DataError, match=r"a column names the split \(test, train\)\. .*: split='test' or split='train' or"):
        ImageTxtDataset(path)
    with pytest.warns(UserWarning, match=r"split\.csv: .*not used: the column sex \(m\).*of the split 'test'"):
        test = ImageTxtDataset(path, split="test", classes=["a", "b"])
    assert (len(test), test.targets, test.classes) == (1, [1], ["a", "b"])
    assert any("of the split 'test'" in note for note in test.notes)
    with pytest.warns(UserWarning, match="all lines are read"):
        assert len(ImageTxtDataset(path, split="all")) == len(names)
    with pytest.warns(UserWarning, match="not used"):
        assert len(ImageTxtDataset(path, columns="path=file,label=label,split=none")) == len(names)


def test_flags_of_lists_are_noted_where_no_set_is_a_list_and_only_there(tmp_path: Path) -> None:
    listed = str(small_list(tmp_path))
    pets = tmp_path / "pets"
    for name in ("cat", "dog"):
        picture(pets / name / "1.png")
    one = "--root says how lists (.txt, .csv, .tsv, .lst) are read, and none is given: it is not used"
    several = "--columns, --first-label say how lists (.txt, .csv, .tsv, .lst) are read, and none is given: they are not used"
    assert open_images(str(pets), config(root=str(tmp_path)), split="train").notes == (one,)
    assert open_images("digits:test", config(train="digits", columns="path=0", first_label="1"), split="test").notes == (several,)
    assert not open_images(str(pets), config(train=str(pets), test=listed, root=str(tmp_path)), split="train").notes
    assert images_in([pets], PredictConfig(root=str(tmp_path))).notes == (one,)
    assert not images_in([pets, listed], PredictConfig(root=str(tmp_path), columns="path=0")).notes[1:]


def test_a_validation_set_of_the_test_sets_files_is_noted_and_no_other(tmp_path: Path) -> None:
    for split in ("train", "test", "other"):
        for name in ("cat", "dog"):
            for number in range(3):
                picture(tmp_path / "pets" / split / name / f"{number}.png")
    data, other = str(tmp_path / "pets" / "train"), str(tmp_path / "pets" / "other")
    for asked in (f"{tmp_path}/pets/test", f"{tmp_path}/pets/../pets/test/"):
        settings = RunConfig(data=config(train=data, test=f"{tmp_path}/pets/test", val=asked))
        assert "the validation set is the test set too" in open_sets(settings)[1]["val"].notes[-1]
    assert not open_sets(RunConfig(data=config(train=data, test=f"{tmp_path}/pets/test", val=other)))[1]["val"].notes
