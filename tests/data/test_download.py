"""Downloads are whole and verified, or not there; a broken one goes on where it broke."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eyas.data.named.download import fetch, unpack
from eyas.errors import DataError

BODY = bytes(range(256)) * 400
MD5 = hashlib.md5(BODY).hexdigest()
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def served(host):
    (host.folder / "set.tar").write_bytes(BODY)
    return host


def test_a_file_is_downloaded_verified_and_said(served, tmp_path: Path, capsys) -> None:
    target = fetch(served.url + "set.tar", tmp_path / "new" / "set.tar", md5=MD5, sha256=SHA)
    assert target.read_bytes() == BODY
    assert "Downloading set.tar" in capsys.readouterr().err


def test_what_is_there_is_not_downloaded(served, tmp_path: Path) -> None:
    (tmp_path / "set.tar").write_bytes(b"mine")
    assert fetch(served.url + "set.tar", tmp_path / "set.tar").read_bytes() == b"mine"
    assert served.asked == []


def test_a_part_is_taken_up_where_it_broke(served, tmp_path: Path) -> None:
    (tmp_path / "set.tar.part").write_bytes(BODY[:1000])
    assert fetch(served.url + "set.tar", tmp_path / "set.tar", md5=MD5).read_bytes() == BODY
    assert served.asked == ["bytes=1000-"]


def test_a_part_that_is_whole_only_gets_its_name(served, tmp_path: Path) -> None:
    (tmp_path / "set.tar.part").write_bytes(BODY)
    assert fetch(served.url + "set.tar", tmp_path / "set.tar", sha256=SHA).read_bytes() == BODY


def test_a_server_that_ignores_ranges_is_read_from_the_start(served, tmp_path: Path) -> None:
    served.ranges = False
    (tmp_path / "set.tar.part").write_bytes(b"rubbish")
    assert fetch(served.url + "set.tar", tmp_path / "set.tar", md5=MD5).read_bytes() == BODY


def test_a_body_that_breaks_off_is_taken_up_again(served, tmp_path: Path) -> None:
    served.cut = 50_000
    assert fetch(served.url + "set.tar", tmp_path / "set.tar", md5=MD5).read_bytes() == BODY
    assert served.asked == [None, "bytes=50000-", "bytes=100000-"]


def test_a_body_that_stays_cut_off_is_an_error_and_its_part_is_kept(served, tmp_path: Path) -> None:
    served.cut = 100
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch(served.url + "set.tar", tmp_path / "set.tar")
    assert not (tmp_path / "set.tar").exists()
    assert (tmp_path / "set.tar.part").stat().st_size == 300


def test_a_wrong_checksum_removes_the_file(served, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="md5 checksum"):
        fetch(served.url + "set.tar", tmp_path / "set.tar", md5="0" * 32)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("set")] == []


def test_an_unreachable_host_says_what_to_do_by_hand(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/set.tar"
        with pytest.raises(DataError, match=r"by hand to .*set.tar, or .* --mirror") as error:
            fetch(url, tmp_path / "set.tar")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_an_error(served, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.tar cannot be downloaded"):
        fetch(served.url + "none.tar", tmp_path / "none.tar")


def test_a_mirror_is_an_address_or_a_folder(served, tmp_path: Path) -> None:
    unknown = "https://example.invalid/far/set.tar"
    assert fetch(unknown, tmp_path / "1.tar", md5=MD5, mirror=served.url).read_bytes() == BODY
    assert fetch(unknown, tmp_path / "2.tar", md5=MD5, mirror=str(served.folder)).read_bytes() == BODY


def test_downloads_at_the_same_time_do_not_disturb_each_other(served, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        paths = list(threads.map(lambda _: fetch(served.url + "set.tar", tmp_path / "set.tar", md5=MD5), range(4)))
    assert {path.read_bytes() for path in paths} == {BODY}
    assert len(served.asked) == 1


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("../evil.txt")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="evil"):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "out")
    assert not (tmp_path / "evil.txt").exists()


def test_a_damaged_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.tar.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "out")
