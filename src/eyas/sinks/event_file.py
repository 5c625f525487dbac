"""A TensorBoard event file, written by whoever asks: torch's writer has a thread, where a full disk ends unheard."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np


class EventFile:
    """Appends records to a new file in `folder`. Its methods raise `OSError` where the disk refuses."""

    def __init__(self, folder: Path, *, purge_step: int | None = None) -> None:
        """Begin the file; `purge_step` tells a TensorBoard that is showing older ones what to forget."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        now = time.time_ns()
        name = f"events.out.tfevents.{now // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{now % 10**9:09d}"
        self._file = (folder / name).open("ab")
        self._record(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if purge_step is not None:
            self._record(Event(wall_time=time.time(), step=purge_step, session_log=SessionLog(status=SessionLog.START)))

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Add a point of a curve."""
        from torch.utils.tensorboard.summary import scalar

        self.add_summary(scalar(tag, value), step)  # type: ignore[no-untyped-call]

    def add_text(self, tag: str, text: str, step: int) -> None:
        """Add a text in Markdown."""
        from torch.utils.tensorboard.summary import text as text_summary

        self.add_summary(text_summary(tag, text), step)  # type: ignore[no-untyped-call]

    def add_image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Add a picture, uint8 [H, W, 3]."""
        from torch.utils.tensorboard.summary import image

        self.add_summary(image(tag, pixels, dataformats="HWC"), step)  # type: ignore[no-untyped-call]

    def flush(self) -> None:
        """Hand everything to the system: it outlives this process."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add_summary(self, summary: Any, step: int) -> None:
        """Add a `Summary` of tensorboard's."""
        from tensorboard.compat.proto.event_pb2 import Event

        self._record(Event(wall_time=time.time(), step=step, summary=summary))

    def _record(self, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        RecordWriter(self._file).write(event.SerializeToString())
