"""Which column of a list is the path, the label, the split; what is its header; what is refused, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyas.data.columns import read_table
from eyas.data.paths import Root


def files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("image_id\np1\np2\np3\n", None),
        ("p1\np2\np3\n", None),
        ("whatever\np1.png\np2.png\np3.png\n", None),
        ("p1.png cat\np2.png\np3.png dog\n", None),
        ("lesion,image_id,dx,dx_type\n1,p1,nv,histo\n1,p2,mel,histo\n2,p3,,\n", None),
        ("one,image,two\np1,p1,p1\np2,p2,p2\np3,p3,p3\n", "path=image"),
        ("path,one,two\np1.png,1,1\np2.png,1\np3.png,1,2\n", None),
    ],
)
def test_without_labels_only_the_paths_are_looked_for(tmp_path: Path, text: str, columns: str | None) -> None:
    files(tmp_path, "p1.png", "p2.png", "p3.png")
    table = read_table(
        text.encode(), Path("list.csv"), columns=columns, exists=Root(tmp_path).finds, labels=False
    )
    assert [name.removesuffix(".png") for name in table.paths] == ["p1", "p2", "p3"]
    assert (table.labels, table.splits, table.problems) == (None, None, [])
