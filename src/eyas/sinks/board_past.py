"""TensorBoard's files after a crash: what lies past the step that a run goes on from is dropped, all else kept."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from eyas.files.atomic import write_bytes

BY_STEP = frozenset({"train/loss", "train/learning_rate"})  # every other tag counts in epochs


def drop_past(folder: Path, step: int, steps_per_epoch: int) -> set[tuple[str, int]]:
    """Rewrite the event files in `folder` without what lies past `step`, each file whole at any time.

    Returns the (tag, step) of the epoch that ended last: a run interrupted while it evaluated does so again.
    The writer's own purge mark cannot do this: it knows one axis, but tags here count in steps or in epochs.
    """
    there: set[tuple[str, int]] = set()
    for path in sorted(folder.glob("events.out.tfevents.*")):
        if step < 0:
            path.unlink()
            continue
        content, kept = path.read_bytes(), []
        for record in _records(content):
            tags, at = _tagged(record)
            epoch = step // steps_per_epoch
            if at <= (step if tags <= BY_STEP else epoch):
                kept.append(record)
                there.update((tag, at) for tag in tags - BY_STEP if at == epoch)
        if (clean := b"".join(kept)) != content:
            write_bytes(path, clean)
    return there


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of an event file, framed as they are, without a half-written last one and damaged ones.

    The frame (TFRecord): uint64 length, uint32 checksum, the bytes, uint32 checksum.
    """
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    start = 0
    while start + 12 <= len(content):
        length, checksum = struct.unpack_from("<QI", content, start)
        end = start + 12 + length + 4
        if checksum != masked_crc32c(content[start : start + 8]) or end > len(content):
            return  # where the next one begins is not known
        if struct.unpack_from("<I", content, end - 4) == (masked_crc32c(content[start + 12 : end - 4]),):
            yield content[start:end]
        start = end


def _tagged(record: bytes) -> tuple[set[str], int]:
    """Return the tags of a record and where it stands on its axis; without tags it is a file's heading."""
    from tensorboard.compat.proto.event_pb2 import Event as Stored

    stored = Stored.FromString(record[12:-4])
    tags = {value.tag for value in stored.summary.value}
    return tags, int(stored.step) if tags else 0
