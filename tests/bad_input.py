"""A folder of bad input and what eyas says of each: `python -m tests.bad_input > docs/bad-input.md` writes the table."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from eyas.cli import main
from eyas.data.images.preprocess import Preprocess
from eyas.model.classifier import Classifier
from eyas.model.zoo import build
from tests import hostile

PREDICT, TRAIN, WEIGHTS = "predict model.safetensors", "train", "train good.txt --model compact --size 16 --weights"
GOOD = "good.txt"
COUNTED = "1 of 1 files could not be read; their rows carry the reason."  # ends every answer of predict here


@dataclass(frozen=True)
class Bad:
    """One kind of bad input: the file, what is in it, and the command that meets it."""

    what: str
    name: str
    content: bytes | Callable[[Path], object]
    command: str

    def make(self) -> None:
        path = Path(self.name)
        if callable(self.content):
            self.content(path)
        else:
            path.write_bytes(self.content)


def image(what: str, name: str, content: bytes | Callable[[Path], object]) -> Bad:
    return Bad(what, name, content, f"{PREDICT} {name}")


def lines(what: str, text: str | bytes, options: str = "") -> Bad:
    return Bad(what, "bad.txt", text.encode() if isinstance(text, str) else text, f"{TRAIN} bad.txt {options}".strip())


def file(what: str, name: str, content: bytes | Callable[[Path], object], command: str) -> Bad:
    return Bad(what, name, content, command)


CASES = (
    image("an empty file", "empty.jpg", b""),
    image("a web page", "page.jpg", b"<!DOCTYPE html><html></html>"),
    image("an SVG", "drawing.png", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
    image("a PDF", "scan.jpg", b"%PDF-1.7\n"),
    image("an EPS, for which Pillow would start Ghostscript", "cat.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    image("a program", "tool.png", b"\x7fELF" + bytes(60)),
    image("a DICOM file", "scan.png", bytes(128) + b"DICM" + bytes(60)),
    image("a Git LFS pointer", "lfs.png", b"version https://git-lfs.github.com/spec/v1\n"),
    image("a truncated JPEG", "half.jpg", hostile.saved(hostile.picture(), "JPEG")[:700]),
    image("a truncated JPEG with an end mark", "closed.jpg", hostile.jpeg_cut_and_closed()),
    image("a progressive JPEG without its last scans", "coarse.jpg", hostile.jpeg_cut_and_closed(progressive=True)),
    image("a truncated PNG", "half.png", hostile.saved(hostile.picture(), "PNG")[:900]),
    image("20 KB that would become 169 million pixels", "bomb.png", hostile.png_bomb()),
    image("a text chunk that becomes 64 MB", "text.png", hostile.png_text_bomb(b"zTXt")),
    image("a JPEG header of 7000 x 7000 over 1 KB of data", "hollow.jpg", hostile.jpeg(7000, 7000)),
    image("a JPEG of 10,000 scans", "scans.jpg", hostile.jpeg_scans(10_000)),
    image("a JPEG of 65500 x 1", "thread.jpg", hostile.jpeg(65500, 1)),
    image("a GIF of 65535 x 65535", "huge.gif", hostile.gif(65535, 65535)),
    image("a WebP of 16 million x 256", "huge.webp", hostile.webp(1 << 24, 256)),
    image("an AVIF of 65535 x 65535", "huge.avif", hostile.avif(65535, 65535)),
    image("a BMP of 2 billion x 2 billion", "huge.bmp", hostile.bmp(2**31 - 1, 2**31 - 1)),
    image("a TIFF of 2 billion x 2 billion", "huge.tif", hostile.tiff(t256=2**31 - 1, t257=2**31 - 1)),
    image("a PPM of 99,999,999 x 99,999,999", "huge.ppm", b"P6 99999999 99999999 255\n"),
    image("floating-point pixels", "float.tif", hostile.saved(hostile.Image.new("F", (2, 2), 0.5), "TIFF")),
    image("a pipe under an image's name", "pipe.jpg", os.mkfifo),
    image("a device under an image's name", "zero.jpg", lambda path: path.symlink_to("/dev/zero")),
    image("a name that steers the terminal", "\x1b[31mred\u202e.jpg", b""),
    lines("a list without a line", ""),
    lines("a path up and out", "../../etc/passwd 0\na.png 1\n"),
    lines("an absolute path elsewhere", "/etc/passwd 0\na.png 1\n"),
    lines("absolute paths only", "/etc/hosts 0\n/etc/passwd 1\n"),
    file("a link out of the folder", "link.png", lambda path: path.symlink_to("/etc/passwd"), "train link.txt"),
    lines("a device", "/dev/zero 0\na.png 1\n"),
    file("a folder and a pipe under images' names", "folder.png", lambda path: path.mkdir(), "train kinds.txt"),
    lines("a NUL byte", b"a.png 0\nb\0.png 1\n"),
    lines("text that is not UTF-8", b"a.png 0\nb\xe9.png 1\n"),
    lines("UTF-16", "a.png 0\n".encode("utf-16")),
    lines("a file that does not exist", "a.png 0\nnone.png 1\n"),
    lines("an image with two labels, one of them under another name", "a.png 0\n./a.png 1\n"),
    lines("a label of -1", "a.png -1\nb.png 0\n"),
    lines("a label of 1,000,000,000 among small ones", "a.png 0\nb.png 1\nc.png 2\nd.png 1000000000\n"),
    lines("a label of 3.5 among whole numbers", "a.png 0\nb.png 1\n" * 6 + "c.png 3.5\n"),
    lines("a label of NaN", "a.png nan\nb.png 1\n"),
    lines("a label of 5,000 digits", f"a.png {'9' * 5000}\nb.png 1\n"),
    lines("a missing label", "a.png\nb.png 1\n"),
    lines("no labels at all", "a.png\nb.png\n"),
    lines("one class only", "a.png cat\nb.png cat\n"),
    lines("a line of a million bytes", b"a.png 0\n" + b"x" * 1_000_000 + b" 1\n"),
    lines("a name of 5,000 letters", f"a.png 0\n{'x' * 5000}.png 1\n"),
    lines("a class name of 2,000 letters", f"a.png {'x' * 2000}\nb.png y\n"),
    lines("a quotation mark that stays open", 'a.png,cat\n"b.png,dog\n'),
    lines("escape sequences in a path", "a.png 0\n\x1b]0;title\x07.png 1\n"),
    file("an image instead of a list", "image.txt", hostile.saved(hostile.picture(), "PNG"), "train image.txt"),
    file("a pipe instead of a list", "pipe.txt", os.mkfifo, "train pipe.txt"),
    file("a class file whose lines are not all numbered", "names.txt", b"0 cat\ndog\n2 emu\n", "train good.txt --classes names.txt"),
    file("a class file that names one twice", "names.txt", b"cat\ndog\ncat\n", "train good.txt --classes names.txt"),
    file("settings that are no TOML", "run.toml", b"[data\n", "train --config run.toml"),
    file("settings nested 5,000 deep", "run.toml", b"a = " + b"[" * 5000, "train --config run.toml"),
    file("a number of 5,000 digits in the settings", "run.toml", b"[optim]\nlr = " + b"9" * 5000, "train --config run.toml"),
    file("a setting that there is not", "run.toml", b"[optim]\nlearning = 1\n", "train --config run.toml"),
    *(file(f"safetensors with {what}", "x.safetensors", data, "evaluate x.safetensors good.txt")
      for what, data in hostile.ABSURD_TENSORS.items()),
    file("weights that run code", "plain.pth", lambda path: hostile.pickles(path.parent), f"{WEIGHTS} plain.pth"),
    file("one number that says to be 4 TB", "big.pth", hostile.stretched_tensor, f"{WEIGHTS} big.pth"),
    file("weights packed a thousand to one", "packed.pth", hostile.packed_weights, f"{WEIGHTS} packed.pth"),
    file("a pipe instead of weights", "pipe.pth", os.mkfifo, f"{WEIGHTS} pipe.pth"),
)  # fmt: skip


def prepare(folder: Path) -> None:
    """Make what the bad things stand beside: four images, a good list, a model."""
    for name in ("a.png", "b.png", "c.png", "d.png"):
        hostile.picture().save(folder / name)
    (folder / GOOD).write_text("a.png cat\nb.png dog\n")
    (folder / "link.txt").write_text("link.png 0\na.png 1\n")
    (folder / "kinds.txt").write_text("folder.png 0\npipe.jpg 1\n")
    torch.manual_seed(0)
    Classifier(build("compact", 2), "compact", ("cat", "dog"), Preprocess(16)).save(folder / "model.safetensors")


def told(command: str) -> tuple[int, str]:
    """Return a command's exit code and what it writes to stderr."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(command.split(" "))
    return code, said.getvalue().strip()


def rows() -> list[tuple[Bad, int, str]]:
    """Make every bad thing in the current folder and return (it, exit code, what eyas says)."""
    prepare(Path())
    found = []
    for bad in CASES:
        bad.make()
        code, message = told(bad.command)
        found.append((bad, code, message.removesuffix(COUNTED).strip()))
    return found


HEAD = """# Bad input, and what eyas says

Made by `python -m tests.bad_input`; a test holds the table equal to what is printed. Every row is a small file that the script
writes. Nothing of them is run, no other program is started, and the memory stays small. What steers a terminal is shown as an escape.

| input | command | exit code | message |
| --- | --- | --- | --- |
"""


def cell(text: str) -> str:
    """Return a text as a cell of a table in Markdown that shows it as it is."""
    shown = re.sub(r"[&<>|*_`\\\\\[\]]", lambda match: f"&#{ord(match.group())};", text)
    return re.sub(r"([x9])\1{60,}", r"\1\1\1...", shown).replace("\n", "<br>")


def page(found: list[tuple[Bad, int, str]]) -> str:
    """Return docs/bad-input.md."""
    from eyas.terminal.clean import clean

    body = (f"| {cell(b.what)} | {cell(clean(b.command))} | {code} | {cell(said)} |\n" for b, code, said in found)
    return HEAD + "".join(body)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.stdout.write(page(rows()))
        os.chdir("/")
