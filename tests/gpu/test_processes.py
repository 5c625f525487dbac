"""Several processes, one per GPU: what they decide by a clock they decide together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]

TUNES = """
import sys, time
from pathlib import Path
import torch
import eyas.training.tuning as tuning
from eyas.training.planning import make_plan
from eyas.device.runtime import open_runtime
from tests.runs import config_of

train, test, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = config_of({"train": train, "test": test}, epochs=400, threads=1)
# For the second process every step takes an hour: it alone would say that compiling may pay.
measured = tuning._measured
tuning._measured = lambda *given: (measured(*given)[0], 3600.0 * rank + 0.001)
tuning._candidates = lambda asked, settled, device: [
    ("usual", settled), ("compiled", settled.model_copy(update={"compile": "on"}))
]
torch.compile = lambda model, **_: model
with open_runtime(config.device) as runtime:
    print(tuning.tune(make_plan(config, Path("not-written")), runtime)[1].split(" (")[0], flush=True)
"""


def run_ranks(code: str, arguments: list[str], world: int) -> list[str]:
    """Return what each of `world` processes prints, one a rank; they meet on a free port of this machine."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = str(door.getsockname()[1])
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    common = {**os.environ, "PYTHONPATH": path, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(world)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments, str(rank)], env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) for rank in range(world)
    ]  # fmt: skip
    try:
        ended = [process.communicate(timeout=120) for process in started]  # two that wait for each other never end
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * world, ended
    return [out for out, _ in ended]


def test_processes_whose_clocks_disagree_choose_the_same(pictures):
    one, other = run_ranks(TUNES, [pictures["train"], pictures["test"]], 2)
    assert one == other == "usual\n"


TRAINS = """
import sys
import eyas
run = eyas.train(sys.argv[1], test=sys.argv[2], out=sys.argv[3], model="compact", size=16, epochs=1, batch_size=16, device="cuda", view="none")
print(run.finished.epoch)
"""


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_process_begun_by_torchrun_trains_on_its_gpu(pictures, tmp_path):
    """One alone, so nothing is joined; two on a CPU are in tests/test_laws.py."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = str(door.getsockname()[1])
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "--master-port", port]
    script = tmp_path / "trains.py"
    script.write_text(TRAINS)
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    command = [*launch, str(script), pictures["train"], pictures["test"], str(tmp_path / "run")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "best.safetensors").is_file()
