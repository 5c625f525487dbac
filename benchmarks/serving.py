"""What a server answers per second, and how long one waits, against the bare model.

    python benchmarks/serving.py [--run RUN] [--images FOLDER] [--model compact --size 64 --classes 17] [--seconds 8]

Bare: the network alone on prepared batches, and `predict_files`, which also reads and decodes; batches of 64 and of 1.
Then a real `eyas serve` on this machine, asked by 1, 8 and 32 clients, each sending its next picture when it has its
answer; then by arrivals at ten times the answers per second that 32 clients had, which do not wait for one another.
Clients run in processes of their own, on the same cores: a server alone on a machine answers more. Other flags
go to `eyas serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

CLIENTS = (1, 8, 32)
OPEN = 1000  # connections at once that arrivals may have, in all
OVER = 10  # times the capacity
PICTURES = 64
COLUMNS = ("", "answers a second", "p50, ms", "p99 of the answered, ms", "not answered", "peak memory, MB")


@dataclass
class Heard:
    """What clients heard: how often each status, and the seconds until each answer of 200."""

    codes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    lasted: float = 0.0

    def add(self, other: Heard) -> None:
        self.codes += other.codes
        self.seconds += other.seconds
        self.lasted = max(self.lasted, other.lasted)

    def row(self, title: str, memory: float) -> str:
        """Return a line of the table."""
        waits = sorted(self.seconds) or [float("nan")]
        p50, p99 = (1000 * waits[min(len(waits) - 1, int(share * len(waits)))] for share in (0.5, 0.99))
        others = ", ".join(f"{count:,} of {code}" for code, count in sorted(self.codes.items()) if code != "200")
        rate = self.codes["200"] / self.lasted
        return f"| {title} | {rate:,.0f} | {p50:,.1f} | {p99:,.1f} | {others or 'none'} | {memory:,.0f} |"


def photos(count: int) -> list[bytes]:
    """Return JPEG files of 400x300 pixels, about as large as photos of that size."""
    import numpy as np
    from PIL import Image

    files = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        picture = np.zeros((300, 400, 3))
        for cells, weight in ((5, 0.55), (20, 0.3), (90, 0.15)):
            blots = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            picture += weight * np.asarray(blots.resize((400, 300), Image.Resampling.BICUBIC), float)
        file = io.BytesIO()
        Image.fromarray(np.uint8(picture)).save(file, "JPEG", quality=88)
        files.append(file.getvalue())
    return files


def bare(run: Path, files: Sequence[Path], seconds: float) -> list[str]:
    """Return lines of the table: pictures per second without a server."""
    import torch

    from eyas import Classifier
    from eyas.data.images.decode import read_image
    from eyas.verbs.predict import predict_files

    classifier = Classifier.load(run)
    fitted = torch.stack([classifier.preprocess.resized(read_image(file)) for file in files])

    def network(batch: int) -> int:
        for part in fitted.split(batch):
            classifier.logits_of_resized(part)
        return len(fitted)

    def whole(batch: int) -> int:
        return sum(1 for _ in predict_files(classifier, map(str, files), batch_size=batch))

    lines = []
    for title, work in (("the network alone", network), ("`predict_files`", whole)):
        for batch in (64, 1):
            work(batch)
            done, began = 0, time.perf_counter()
            while time.perf_counter() - began < seconds / 2:
                done += work(batch)
            rate = done / (time.perf_counter() - began)
            lines.append(f"| {title}, batches of {batch} | {rate:,.0f} | | | | |")
    return lines


def request_of(picture: bytes) -> bytes:
    head = (
        f"POST /predict?top=1 HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
    )
    return head.encode() + picture


async def asked(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> str:
    """Return the status of an answer."""
    reader, writer = stream
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
    return head.split()[1]


async def waiting_clients(port: int, requests: list[bytes], clients: int, seconds: float) -> Heard:
    """Return what clients hear that send their next picture when they have an answer."""
    heard, began = Heard(), time.perf_counter()

    async def client(first: int) -> None:
        stream = await asyncio.open_connection("127.0.0.1", port)
        for number in itertools.count(first):
            start = time.perf_counter()
            if start - began > seconds:
                break
            code = await asked(stream, requests[number % len(requests)])
            heard.codes[code] += 1
            if code == "200":
                heard.seconds.append(time.perf_counter() - start)
        stream[1].close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    heard.lasted = time.perf_counter() - began
    return heard


async def arrivals(port: int, requests: list[bytes], rate: float, seconds: float) -> Heard:
    """Return what is heard where pictures arrive at a rate, whatever the server does."""
    heard, began = Heard(), time.perf_counter()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    tasks: set[asyncio.Task[None]] = set()

    async def one(request: bytes) -> None:
        start = time.perf_counter()
        try:
            stream = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
            code = await asyncio.wait_for(asked(stream, request), 60)
            idle.append(stream)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            code = type(error).__name__
        heard.codes[code] += 1
        if code == "200":
            heard.seconds.append(time.perf_counter() - start)

    for number in range(int(rate * seconds)):
        ahead = began + number / rate - time.perf_counter()
        if ahead > 0 or number % 50 == 0:
            await asyncio.sleep(max(0.0, ahead))
        if len(tasks) >= OPEN // 2:
            heard.codes["not sent: all connections were in use"] += 1
            continue
        task = asyncio.create_task(one(requests[number % len(requests)]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    sending = time.perf_counter() - began
    if tasks:
        await asyncio.wait(tasks)
    heard.lasted = max(sending, seconds)
    return heard


def run_clients(kind: Callable[..., Any], port: int, pictures: list[bytes], load: float, seconds: float) -> Heard:
    """Return what one process of clients hears."""
    return asyncio.run(kind(port, [request_of(picture) for picture in pictures], load, seconds))


def heard_by(kind: Callable[..., Any], port: int, pictures: list[bytes], load: float, seconds: float) -> Heard:
    """Return what clients hear in two processes, or in one where there is one client."""
    shares = [load] if load == 1 else [load / 2] * 2
    if kind is waiting_clients:
        shares = [int(share) for share in shares]
    total = Heard()
    with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(run_clients, kind, port, pictures, share, seconds) for share in shares]:
            total.add(done.result())
    return total


def memory_of(process: int) -> float:
    """Return the most memory that a process has had, MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def served(run: Path, pictures: list[bytes], seconds: float, flags: Sequence[str]) -> list[str]:
    """Return the lines of the table of a real server."""
    command = [
        sys.executable,
        "-m",
        "eyas",
        "serve",
        str(run),
        "--port",
        "0",
        "--examples",
        "none",
    ]
    lines = []
    with subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().split()[0].rpartition(":")[2])
            heard_by(waiting_clients, port, pictures, 8, 2)
            capacity = 0.0
            for clients in CLIENTS:
                heard = heard_by(waiting_clients, port, pictures, clients, seconds)
                capacity = heard.codes["200"] / heard.lasted
                title = f"`eyas serve`, {clients} client{'s' * (clients > 1)}"
                lines.append(heard.row(title, memory_of(server.pid)))
            heard = heard_by(arrivals, port, pictures, OVER * capacity, seconds)
            lines.append(heard.row(f"`eyas serve`, {OVER * capacity:,.0f} arrivals a second", memory_of(server.pid)))
            heard = heard_by(waiting_clients, port, pictures, 8, seconds)
            lines.append(heard.row("`eyas serve`, 8 clients after that", memory_of(server.pid)))
        finally:
            server.terminate()
            print(f"the server ended with code {server.wait(60)}", file=sys.stderr)
    return lines


def model_in(folder: Path, name: str, size: int, classes: int) -> Path:
    """Return a model file of a network that has learnt nothing: it is as quick as one that has."""
    from eyas import Classifier, Preprocess
    from eyas.model.zoo import build

    path = folder / "model.safetensors"
    names = tuple(f"class {number}" for number in range(classes))
    Classifier(build(name, classes), name, names, Preprocess(size=size)).save(path)
    return path


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--classes", type=int, default=17)
    parser.add_argument("--seconds", type=float, default=8)
    given, flags = parser.parse_known_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `eyas` sets it for itself
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = given.run or model_in(folder, given.model, given.size, given.classes)
        files = sorted(given.images.rglob("*.jpg"))[:PICTURES] if given.images else []
        for number, data in enumerate([] if files else photos(PICTURES)):
            files.append(folder / f"{number:02}.jpg")
            files[-1].write_bytes(data)
        size = sum(file.stat().st_size for file in files) / len(files) / 1e3
        print(f"{os.cpu_count()} cores; {len(files)} pictures, {size:.0f} KB each\n")
        print("| " + " | ".join(COLUMNS) + " |\n" + "| --- " * len(COLUMNS) + "|")
        for line in bare(run, files, given.seconds):
            print(line, flush=True)
        for line in served(run, [file.read_bytes() for file in files], given.seconds, flags):
            print(line, flush=True)


if __name__ == "__main__":
    main()
