"""The documents agree with the program, with the tree and with each other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import eyas
from eyas.cli import COMMANDS
from tests.everyday.page import cases
from tests.test_layers import CORE, SATELLITES

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "eyas"
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in (*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md"), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")
)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OF_OTHER_TIMES = ("CHANGELOG.md", "docs/why.md")  # tell also of flags that are gone
OF_OTHERS = {
    "--nproc-per-node", "--logdir", "--slow", "--gpu", "--all", "--strict", "--matrix", "--list", "--rows", "--times",
    "--whole", "--order-seed",
}  # torchrun, tensorboard, ...  # fmt: skip


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def headings(page: str) -> list[str]:
    """Return the headings of a page, those in its code blocks left out."""
    return re.findall(r"^(#+ .*)$", FENCED.sub("", text_of(page)), re.MULTILINE)


def anchor(heading: str) -> str:
    """Return what a link to a heading ends in, as GitHub and GitLab make it."""
    plain = re.sub(r"[^\w\- ]", "", heading.lstrip("#").strip().lower())
    return plain.replace(" ", "-")


def flags() -> set[str]:
    """Return all flags of all commands, from the committed list that test_surface.py holds."""
    found = set(re.findall(r"--[a-z0-9-]+", text_of("tests/surface.txt")))
    return found | {f"--no-{flag.removeprefix('--')}" for flag in found} | {"--help", "--version"}


def test_the_reference_and_the_tree_are_what_the_program_says():
    """Settings, events, data sets or files changed? Run `scripts/reference`."""
    command = [sys.executable, str(ROOT / "scripts" / "reference"), "--print"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == (text_of("docs/reference.md") + text_of("docs/architecture.md")).splitlines()


def test_the_reference_has_every_command_and_every_public_name():
    reference = text_of("docs/reference.md")
    listed = reference.partition("## Commands")[2].partition("###")[0]
    assert [command for command in COMMANDS if f"| `eyas {command}" not in listed] == []
    named = reference.rpartition("## Python")[2]
    assert [name for name in eyas.__all__ if f"`{name}`" not in named] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_points_to_an_existing_file_and_heading(page):
    broken = []
    for link in LINK.findall(FENCED.sub("", text_of(page))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        exists = target.exists()
        if exists and heading:
            exists = heading in [anchor(line) for line in headings(str(target.resolve().relative_to(ROOT)))]
        if not exists:
            broken.append(link)
    assert broken == []


def test_both_readmes_have_the_same_headings():
    def levels(page: str) -> list[int]:
        return [len(line.split()[0]) for line in headings(page)]

    assert levels("README.zh-CN.md") == levels("README.md")


BENCHMARKS = [
    str(path.relative_to(ROOT)) for path in (ROOT / "benchmarks").glob("*.py")
]  # they have flags of their own


@pytest.mark.parametrize("page", [page for page in PAGES if page not in OF_OTHER_TIMES])
def test_every_flag_that_a_page_names_exists(page):
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]\b(?!-)", text_of(page)))
    of_benchmarks = set(re.findall(r'"(--[a-z-]+)"', "".join(map(text_of, BENCHMARKS))))
    refused = {word for case in cases() if case.code == 2 for word in case.command.split()}  # such as other trainers'
    assert named - flags() - OF_OTHERS - of_benchmarks - (refused if page == "docs/everyday-data.md" else set()) == set()


@pytest.mark.parametrize("page", PAGES)
def test_flags_stand_beside_the_command_that_has_them(page):
    known = set(text_of("tests/surface.txt").splitlines())
    for command, rest in re.findall(r"^(?:torchrun .* -m )?eyas ([a-z]+)\b(.*)$", text_of(page), re.MULTILINE):
        assert f"eyas {command}" in known, f"{page}: eyas {command}"
        for flag in re.findall(r" (--[a-z0-9-]+)", rest.partition("  #")[0]):
            assert f"eyas {command} {flag.replace('--no-', '--')}" in known, f"{page}: eyas {command}{rest}"


def test_every_file_that_the_typical_changes_name_exists():
    changes = text_of("CONTRIBUTING.md").partition("## Twelve typical changes")[2]
    rows = re.findall(r"^\| (?!change|-)(.*?) \| ([123]) \| `(src/\S+)` \|", changes, re.MULTILINE)
    assert len(rows) == 12
    named = re.findall(r"`(src/eyas/\S+?)`", changes)
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_name_that_the_typical_changes_point_to_is_in_the_file():
    for row in re.findall(r"^\| .*`src/.*$", text_of("CONTRIBUTING.md"), re.MULTILINE):
        files = "".join(text_of(name) for name in re.findall(r"`(src/eyas/\S+?)`", row))
        for name in re.findall(r"`((?:[A-Z]\w+\.)?\w+)`", row):
            assert name.rpartition(".")[2] in files, f"{name}: {row}"


def test_the_architecture_has_the_rooms_that_are_tested():
    shown = text_of("docs/architecture.md").partition("| room | lines at most |")[2].strip().partition("\n\n")[0].splitlines()[1:]
    rows = [f"| `{room}` | {budget:,} |" for room, budget in {**CORE, **SATELLITES}.items()]
    assert [row for row in shown if row.startswith("| `")] == rows


def written_files() -> list[Path]:
    """Return the files that are the project's own, those of git where it is there."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        return [file for name in done.stdout.splitlines() if (file := ROOT / name).is_file()]
    places = (".ci", "benchmarks", "docs", "examples", "scripts", "src", "tests")
    found = [*ROOT.glob("*"), *(file for place in places for file in (ROOT / place).rglob("*"))]
    return [file for file in found if file.is_file() and "__pycache__" not in file.parts]


def test_no_text_names_a_folder_of_the_machine_that_it_was_written_on():
    machine = re.compile(rb"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/")
    found = []
    for file in written_files():
        content = file.read_bytes()
        if b"\0" not in content and (match := machine.search(content)):
            line = content.count(b"\n", 0, match.start()) + 1
            found.append(f"{file.relative_to(ROOT)}:{line}: {match[0].decode()}")
    assert found == []
