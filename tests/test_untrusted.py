"""What comes from others is read in bounded memory, runs nothing and starts nothing."""

from __future__ import annotations

import ast
import contextlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from eyas.data.named.download import unpack
from eyas.errors import CheckpointError, DataError, EyasError
from eyas.files.tensors import read_tensors, write_tensors
from eyas.model.weights import read_weights
from tests import hostile

ROOT = Path(__file__).parent.parent
IMAGES: dict[str, Callable[[], bytes]] = {
    "png of 169 million pixels": hostile.png_bomb,
    "png text": lambda: hostile.png_text_bomb(b"zTXt"),
    "png international text": lambda: hostile.png_text_bomb(b"iTXt"),
    "png profile": lambda: hostile.png_text_bomb(b"iCCP"),
    "png of 2^62 pixels": lambda: hostile.png(2**31 - 1, 2**31 - 1),
    "jpeg 65535 x 65535": lambda: hostile.jpeg(65535, 65535),
    "jpeg 7000 x 7000 without data": lambda: hostile.jpeg(7000, 7000),
    "jpeg of 40,000 scans, minutes of work": lambda: hostile.jpeg_scans(40_000),
    "jpeg 65500 x 1": lambda: hostile.jpeg(65500, 1),
    "gif": lambda: hostile.gif(65535, 65535),
    "webp": lambda: hostile.webp(1 << 24, 256),
    "avif": lambda: hostile.avif(65535, 65535),
    "bmp": lambda: hostile.bmp(2**31 - 1, 2**31 - 1),
    "bmp 7000 x 7000": lambda: hostile.bmp(7000, 7000),
    "tiff": lambda: hostile.tiff(t256=2**31 - 1, t257=2**31 - 1),
    "tiff 7000 x 7000": lambda: hostile.tiff(t256=7000, t257=7000),
    "ppm": lambda: b"P6 7000 7000 255\n",
    "eps": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
    "program": lambda: b"\x7fELF" + bytes(100),
}
CHILD = """
import resource, sys
from pathlib import Path
started = []
sys.addaudithook(lambda name, _: started.append(name) if name.startswith(
    ("subprocess", "os.exec", "os.posix_spawn", "os.system", "os.fork", "socket.connect", "ctypes.dlopen")) else None)
from eyas.data.images.decode import decode
from eyas.errors import DataError
from tests.hostile import picture, saved
for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF"):
    decode(saved(picture(), kind))
started.clear()
for path in sorted(Path(sys.argv[1]).iterdir()):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        decode(path.read_bytes(), path.name)
        answer = "decoded"
    except DataError:
        answer = "refused"
    print(path.name, answer, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, *started, sep=";")
"""


def test_bombs_are_refused_from_the_header_in_little_memory_and_nothing_is_started(tmp_path):
    for name, make in IMAGES.items():
        (tmp_path / name).write_bytes(make())
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    answers = [line.split(";") for line in done.stdout.splitlines()]
    assert len(answers) == len(IMAGES)
    for name, answer, megabytes, *started in answers:
        assert answer == "refused", name
        assert int(megabytes) < 50, name
        assert started == [], name


def test_looping_directories_end(tmp_path):
    from eyas.data.images.decode import decode

    assert decode(hostile.looping_exif()).size == (24, 32)  # its orientation still counts
    assert decode(hostile.tiff(loop=1)).size == (32, 24)


def test_an_endless_or_enormous_file_under_an_images_name_is_not_read(tmp_path):
    from eyas.data.images.decode import read_image

    with (tmp_path / "hole.jpg").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match=r"hole\.jpg: cannot be read: it has more than 512 MB"):
        read_image(tmp_path / "hole.jpg")


def test_an_enormous_list_is_not_read(tmp_path):
    from eyas.data.lists.listing import read_listing

    with (tmp_path / "hole.txt").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match=r"hole\.txt: cannot be read: it has more than 4,096 MB"):
        read_listing(tmp_path / "hole.txt")


def test_no_weights_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in hostile.pickles(tmp_path):
        with pytest.raises(CheckpointError, match="Nothing was run"):
            read_weights(path)
        for other in (path.with_suffix(".safetensors"),):  # under a name that is no pickle's
            other.write_bytes(path.read_bytes())
            with pytest.raises(CheckpointError):
                read_weights(other)
            with pytest.raises(CheckpointError):
                read_tensors(other, "model")
    assert not (tmp_path / hostile.CANARY).exists()


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    """The folder of a run of one epoch."""
    from eyas.cli import main

    folder = tmp_path_factory.mktemp("trained") / "run"
    flags = f"--model compact --size 16 --epochs 1 --batch-size 16 --device cpu --out {folder}"
    assert main(["train", pictures["train"], "--test", pictures["test"], *flags.split()]) == 0
    return folder


@pytest.mark.parametrize(
    "name", ["state.safetensors", "best.safetensors", "events.jsonl", "metrics.csv", "config.toml"]
)
def test_no_file_of_a_run_folder_runs_code(pictures, run, tmp_path, monkeypatch, name):
    from eyas.cli import main

    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, tmp_path / "run")
    hostile.pickles(tmp_path)
    for pickled in ("plain.pth", "zipped.pt"):
        (tmp_path / "run" / name).write_bytes((tmp_path / pickled).read_bytes())
        main(["resume", "run", "--epochs", "1"])
    if name == "best.safetensors":
        assert main(["evaluate", "run", pictures["test"], "--device", "cpu"]) == 65
    assert not (tmp_path / hostile.CANARY).exists()


@pytest.mark.parametrize(
    "change",
    [
        {"state": None}, {"state": {}}, {"fingerprint": None}, {"environment": 5}, {"step": "x"}, {"epochs_done": None},
        {"selection": 5}, {"plateau": {"lowest": []}}, {"optimizer": 7}, {"stopped": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_sealed_state_that_is_none_is_refused_in_words(run, tmp_path, capsys, change):
    """Its SHA-256 is right: somebody wrote it on purpose."""
    from eyas.cli import main

    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "state.safetensors"
    tensors, header = read_tensors(path, "state")
    header = {key: value for key, value in header.items() if key not in ("format", "kind")}
    known = header if next(iter(change)) in header else header["state"]
    known |= change
    write_tensors(path, "state", tensors, header)
    (tmp_path / "run" / "state-earlier.safetensors").unlink(missing_ok=True)
    assert main(["resume", str(tmp_path / "run"), "--epochs", "2"]) == 65
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["digits", "cifar10", "fashion-mnist"])
def test_no_named_set_runs_code(tmp_path, monkeypatch, name):
    """Pickles lie where older versions of torchvision and the Python archives of CIFAR have them."""
    from eyas.data.named.opening import open_named

    monkeypatch.chdir(tmp_path)
    gadget = hostile.pickles(tmp_path)[0].read_bytes()
    for place in ("cifar-10-batches-py/data_batch_1", "cifar-10-batches-bin/data_batch_1.bin", "cifar-10-binary.tar.gz",
                  "FashionMNIST/processed/training.pt", "FashionMNIST/processed/test.pt"):  # fmt: skip
        (tmp_path / "data" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / place).write_bytes(gadget)
    with contextlib.suppress(EyasError):
        open_named(name, "train", str(tmp_path / "data"), mirror=str(tmp_path / "nowhere"))
    assert not (tmp_path / hostile.CANARY).exists()


@pytest.mark.parametrize(("what", "data"), hostile.ABSURD_TENSORS.items(), ids=hostile.ABSURD_TENSORS.keys())
def test_absurd_tensor_files_are_refused_in_one_line(tmp_path, what, data):
    (tmp_path / "x.safetensors").write_bytes(data)
    for read in (lambda path: read_tensors(path, "model"), read_weights):
        with pytest.raises(CheckpointError) as error:
            read(tmp_path / "x.safetensors")
        assert "\n" not in str(error.value)


def test_absurd_weights_are_refused_in_little_memory(tmp_path):
    """4 TB in one number, 64 MB of zeros in 64 KB, a small file that names a large network: together under 100 MB."""
    hostile.stretched_tensor(tmp_path / "stretched.pth")
    hostile.packed_weights(tmp_path / "packed.pth")
    code = """
import resource, sys
from pathlib import Path
from eyas.errors import CheckpointError
from eyas.model.classifier import Classifier, model_header
from eyas.data.images.preprocess import Preprocess
from eyas.model.weights import read_weights
from eyas.model.zoo import build, outline
from eyas.files.tensors import write_tensors
folder = Path(sys.argv[1])
outline("resnet18", 2)
tensors = dict(build("compact", 2).state_dict())
write_tensors(folder / "liar.safetensors", "model", tensors, model_header("vgg19", "ab", Preprocess(16), {}))
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for read, name in ((read_weights, "stretched.pth"), (read_weights, "packed.pth"), (Classifier.load, "liar.safetensors")):
    try:
        read(folder / name)
    except CheckpointError:
        print("refused")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    *answers, megabytes = done.stdout.split()
    assert answers == ["refused"] * 3
    assert int(megabytes) < 100


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("../evil", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "/etc"),
        ("link", tarfile.SYMTYPE, "../.."),
        ("link", tarfile.LNKTYPE, "/etc/passwd"),
        ("device", tarfile.CHRTYPE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
    ],
)
def test_archives_cannot_reach_out_of_their_folder(tmp_path, name, kind, link):
    hostile.tar_of(tmp_path / "x.tar.gz", name, kind, link)
    with pytest.raises(DataError, match=r"x\.tar\.gz: ") as error:
        unpack(tmp_path / "x.tar.gz", tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "evil").exists()
    assert list((tmp_path / "out").iterdir()) == []


def test_an_absolute_name_in_an_archive_stays_below_its_folder(tmp_path):
    hostile.tar_of(tmp_path / "x.tar.gz", f"{tmp_path}/evil")
    unpack(tmp_path / "x.tar.gz", tmp_path / "out")
    assert not (tmp_path / "evil").exists()
    assert (tmp_path / "out" / str(tmp_path).lstrip("/") / "evil").read_bytes() == b"x"


def test_torchvisions_own_decoders_are_out_of_reach():
    """Its PNG decoder takes the process down on a damaged file; nothing in eyas names it or its parent."""
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("torchvision.io"), file
                assert node.module != "torchvision" or "io" not in {alias.name for alias in node.names}, file
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("torchvision.io") for alias in node.names), file
            if isinstance(node, ast.Attribute):
                assert not ast.unparse(node).startswith("torchvision.io"), file
                assert node.attr not in ("decode_image", "decode_png", "decode_jpeg"), file
