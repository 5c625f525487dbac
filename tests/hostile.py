"""Small hostile and broken files, made in code."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

CANARY = "canary"  # the file that a gadget makes in the current folder


class Gadget:
    """Makes the canary where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(CANARY),)


def picture(width: int = 32, height: int = 24) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    """Return a PNG of chunks: its header may promise anything."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_bomb() -> bytes:
    """Return 20 KB that are 169 million pixels."""
    return png(13_000, 13_000, depth=1, colour=0, data=bytes(13_000 * 1626))


def png_text_bomb(kind: bytes) -> bytes:
    """Return a small picture with a chunk of text or profile that is 64 MB when it is unpacked."""
    before = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind]
    return png(8, 8, chunk(kind, before + zlib.compress(bytes(1 << 26), 9)), data=bytes(8 * 25))


def jpeg(width: int, height: int) -> bytes:
    """Return a JPEG of a small picture whose header says another size."""
    data = bytearray(saved(picture(), "JPEG"))
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_cut_and_closed(**options: Any) -> bytes:
    """Return half of a JPEG's data with an end mark behind them: decoders make it whole with grey."""
    data = saved(picture(256, 256), "JPEG", **options)
    return data[: len(data) // 2] + b"\xff\xd9"


def jpeg_scans(count: int, width: int = 3000, height: int = 2000) -> bytes:
    """Return a progressive JPEG of one grey, whose last scan comes `count` times more: each is a pass over all of it."""
    data = saved(Image.new("L", (width, height), 128), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + count * last + data[-2:]


def gif(width: int, height: int) -> bytes:
    data = bytearray(saved(picture(), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def webp(width: int, height: int) -> bytes:
    """Return an extended WebP whose canvas is of another size than its picture."""
    data = saved(picture(), "WEBP", lossless=True)
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides + data[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif(width: int, height: int) -> bytes:
    data = bytearray(saved(picture(), "AVIF"))
    place = data.index(b"ispe")
    data[place + 8 : place + 16] = struct.pack(">II", width, height)
    return bytes(data)


def bmp(width: int, height: int) -> bytes:
    data = bytearray(saved(picture(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def tiff(**tags: int) -> bytes:
    """Return a small TIFF with some tags, named `t256`, of other values; `loop` makes its directory follow itself."""
    data = bytearray(saved(picture(), "TIFF"))
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    for place in range(start + 2, start + 2 + 12 * count, 12):
        name = f"t{struct.unpack_from('<H', data, place)[0]}"
        if name in tags:
            struct.pack_into("<HII", data, place + 2, 4, 1, tags[name])
    if "loop" in tags:
        struct.pack_into("<I", data, start + 2 + 12 * count, start)
    return bytes(data)


def looping_exif() -> bytes:
    """Return a JPEG, orientation 6, whose EXIF directory points to itself."""
    entries = struct.pack("<HHIIHHII", 0x0112, 3, 1, 6, 0x8769, 4, 1, 8)
    return saved(picture(), "JPEG", exif=b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 8))


def safetensors_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file of a header (plain data, or its bytes) that may lie, also about its own length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor_entry(shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


ABSURD_TENSORS = {
    "a header of 2^63 bytes": safetensors_of({}, length=2**63),
    "a header that is longer than the file": safetensors_of({}, length=10**6),
    "offsets that overlap": safetensors_of({"a": tensor_entry([2], 0, 8), "b": tensor_entry([2], 4, 12)}, bytes(12)),
    "a shape of 2^64 values": safetensors_of({"a": tensor_entry([2**62, 4], 0, 16)}, bytes(16)),
    "a key twice": safetensors_of(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        bytes(8),
    ),
    "brackets nested a million deep": safetensors_of(b'{"a":' + b"[" * 10**6 + b"]" * 10**6 + b"}"),
    "a tensor of 100,000 dimensions": safetensors_of({"a": tensor_entry([1] * 100_000, 0, 4)}, bytes(4)),
    "a type of four bits": safetensors_of({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"\0"),
    "a header of 30 MB of blanks": safetensors_of(b"{}" + b" " * 30_000_000),
    "no bytes": b"",
}


def pickles(folder: Path) -> list[Path]:
    """Write files of weights that run code when they are unpickled, in every way that torch can be made to do it."""
    (folder / "plain.pth").write_bytes(pickle.dumps({"w": Gadget()}))
    torch.save({"w": Gadget()}, folder / "zipped.pt")
    torch.save({"w": Gadget()}, folder / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {"w": torch.zeros(2)}, "args": Gadget()}, folder / "beside.pth")
    return [folder / name for name in ("plain.pth", "zipped.pt", "legacy.bin", "beside.pth")]


def stretched_tensor(path: Path) -> None:
    """Write one number that says to be a matrix of 4 TB."""
    torch.save({"w": torch.zeros(1).as_strided((2**20, 2**20), (0, 0))}, path)


def packed_weights(path: Path) -> None:
    """Write a file of torch.save whose zip entries are packed: 64 MB of zeros in 64 KB."""
    torch.save({"w": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as given:
        entries = {name: given.read(name) for name in given.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in entries.items():
            packed.writestr(name, bytes(1 << 26) if name.endswith("data/0") else data)


def tar_of(path: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"x") -> None:
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        entry.size = len(data) if kind == tarfile.REGTYPE else 0
        tar.addfile(entry, io.BytesIO(data))
