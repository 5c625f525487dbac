"""Options of other trainers, values of another form, and what stands in the way of a run that could go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.everyday.case import Case, picture, pictures, train, write

TITLE = "Options, and what a remedy is called"


def nothing() -> None:
    """Make nothing: the command line is the input."""


def word(what: str, command: str, *says: str, make: Callable[[], object] = nothing) -> Case:
    """Return a case of a command line that is refused."""
    return Case(what, make, command, says, code=2)


def photos() -> None:
    """Write two classes, and a test set in which one picture is a training picture too."""
    for split, count in (("train", 6), ("test", 3)):
        for name in ("cat", "dog"):
            for number in range(count):
                picture(f"photos/{split}/{name}/{number}.png", (48, 40))
    shutil.copy("photos/train/cat/0.png", "photos/test/cat/2.png")


def photos_and_a_broken_one() -> None:
    photos()
    Path("photos/train/dog/5.png").write_bytes(b"")


def photos_and_no_folder() -> None:
    """Write photos, and a file where the cache's folder should be."""
    photos()
    write("home", "a file, not a folder")


def settings_of_keras() -> None:
    pictures("photos", ["cat", "dog"])
    write("run.toml", "[training]", "epochs = 1", "[optim]", "learning_rate = 0.1")


TWICE = (
    "photos/test: the validation set is the test set too, so the best epoch is chosen by what it is tested on: its test "
    "scores are too good. --val 0.1 chooses by a share of the training set"
)
LEAKED = "photos/test: 6 images; chooses the best epoch; 1 also in the training set"

CASES = (
    word("Keras's word for the learning rate", "train photos --learning-rate 0.1", "--learning-rate: eyas calls it --lr."),
    word("Ultralytics's word for the size", "train photos --imgsz 224", "--imgsz: eyas calls it --size."),
    word("timm's word for the size", "train photos --img-size 224", "--img-size: eyas calls it --size."),
    word("Ultralytics's word for the batch", "train photos --batch 16", "--batch: eyas calls it --batch-size."),
    word("a short option", "train photos -b 16", "-b: eyas calls it --batch-size."),
    word("Transformers's word for the length", "train photos --num-train-epochs 3", "--num-train-epochs: eyas calls it --epochs."),
    word("timm's word for the optimiser", "train photos --opt adamw", "--opt: eyas calls it --optimizer."),
    word("a word of Ultralytics without hyphens", "train photos imgsz=224", "imgsz=224: eyas calls it --size."),
    word("data with a flag before it", "train --data photos", "--data: eyas calls it TRAIN, which has no flag before it."),
    word("mixed precision by a switch", "train photos --amp",
         "--amp: eyas train has no such flag. The arithmetic is chosen by --precision: fp16, bf16 or tf32."),
    word("layers to freeze", "train photos --freeze 10",
         "--freeze: eyas train has no such flag. No layer is frozen; --backbone-lr 0.01 lets all but the head learn at a hundredth"),
    word("the number of classes", "train photos --num-classes 2",
         "--num-classes: eyas train has no such flag. The classes are counted from the data; --classes FILE names them"),
    word("a checkpoint to measure", "evaluate --weights best.safetensors",
         "--weights: eyas calls it RUN, which has no flag before it."),
    word("a size for a trained model", "predict run a.png --imgsz 224",
         "--imgsz: eyas predict has no such flag. eyas train calls it --size."),
    word("a flag of another command", "train photos --top 3", "--top: eyas train has no such flag. It is one of eyas predict."),
    word("another trainer's word in a settings file", "train photos --config run.toml",
         "run.toml: [optim] has no setting 'learning_rate'. eyas calls it 'lr' in [optim].", make=settings_of_keras),
    word("one mean, as for grey images", "train photos --mean 0.5",
         "--mean 0.5: takes 3 numbers with spaces between them, not 1, such as --mean 0.5 0.5 0.5."),
    word("a mean with commas", "train photos --mean 0.5,0.4,0.3", "not 1, such as --mean 0.5 0.4 0.3."),
    word("a mean of pixels of 0 to 255", "train photos --mean 123.675 116.28 103.53",
         "--mean 123.675 116.28 103.53: pixels are 0 to 1 here, not 0 to 255: divide by 255 (0.485 0.456 0.406)."),
    word("a deviation of pixels of 0 to 255", "train photos --std 58.395 57.12 57.375",
         "--std 58.395 57.12 57.375: pixels are 0 to 1 here, not 0 to 255: divide by 255 (0.229 0.224 0.225)."),
    word("a word in the place of a number", "train photos --epochs many", "--epochs many: takes a whole number of at least 1."),
    word("a switch with a value", "train photos --nesterov true",
         "true: is one too many: eyas train takes TRAIN (photos). --nesterov takes no value."),
    word("the columns as two words", "train photos.csv --columns path=0 label=1",
         "label=1: is no flag: the columns are one word, with commas between them."),
    word("a share for testing, as scikit-learn calls it", "train photos --test-size 0.2",
         "--test-size: eyas train has no such flag. A share of the training set is kept apart by --val 0.1; --test names a set."),
    word("a share for testing", "train photos --test 0.2", "0.2: is no data set. Only --val takes a share of the training set, written as 0.2.", make=photos),
    word("a share in per cent", "train photos/train --val 20%", "20%: is no data set. Only --val takes a share of the training set, written as 0.2.", make=photos),
    word("a setting outside the sections", "train photos --config run.toml", "run.toml: lr stands in no section. It belongs into [optim].", make=lambda: write("run.toml", "lr = 0.1")),
    word("a dash that a text program made of two hyphens", "train photos —lr 0.1", "—lr: is written with a dash; a flag begins with two hyphens: --lr"),
    word("a variable of the shell that is not set", "predict run ''", "PATH... '': is an empty text: was a variable of the shell not set?"),
    word("two sets without a flag", "train photos other", "other: is one too many: eyas train takes TRAIN (photos)."),
    Case("a cache folder that cannot be made", photos_and_no_folder,
         train("photos/train", "--val photos/test --cache disk --cache-dir home/cache"),
         ("no folder for decoded images (home/cache: cannot be made", "they are kept in memory; --cache-dir names another folder")),
    Case("a look that cannot be kept", photos_and_no_folder, "inspect photos/train --cache-dir home/cache",
         ("what was seen is not kept for another look (home/cache: cannot be made", "--cache-dir names another folder")),
    Case("a folder for named sets that cannot be made", photos_and_no_folder, "train cifar10 --data-dir home/data",
         ("--data-dir names another folder for named sets.",), code=74),
    Case("a flag of lists where no set is one", photos, train("photos", "--root photos --first-label 1"),
         ("--root, --first-label say how lists (.txt, .csv, .tsv, .lst) are read, and none is given: they are not used",)),
    Case("the same where a set is looked at", photos, "inspect photos/train --against photos/test --columns path=0",
         ("--columns says how lists (.txt, .csv, .tsv, .lst) are read, and none is given: it is not used",)),
    Case("a number of the first class where folders name the classes", lambda: (photos(), write("names.txt", "dog", "cat")),
         "inspect photos --classes names.txt --first-label 1", ("the labels are names, so --first-label 1 says nothing",)),
    Case("a validation set that is the test set, too", photos, train("photos", "--val photos/test"), (TWICE,)),
    Case("a test picture that is a training picture", photos, train("photos"), (LEAKED,)),
    Case("the same under --recipe finetune, where training pictures are kept larger", photos,
         train("photos", "--recipe finetune"), (LEAKED,)),
    Case("the same where pictures are left out as unreadable", photos_and_a_broken_one,
         train("photos", "--recipe finetune --skip-unreadable"), (LEAKED,)),
    Case("the same where nothing is kept", photos, train("photos", "--recipe finetune --cache none"), (LEAKED,)),
)  # fmt: skip
