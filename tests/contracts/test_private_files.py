"""The one writer of files: private, whole or not at all, and on disk on return."""

import multiprocessing
import os
import resource
import stat
from collections.abc import Generator
from pathlib import Path

import pytest

from contracts.private_files import append_private, create_private, make_private_file, open_private, write_private


@pytest.fixture(autouse=True)
def open_umask() -> Generator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("write", [write_private, create_private, append_private])
def test_a_file_and_the_folders_made_for_it_are_for_their_owner_alone(tmp_path: Path, write: object) -> None:
    assert callable(write)
    path = tmp_path / "a" / "b" / "file"
    write(path, "content")
    assert path.read_text().strip() == "content"
    assert mode(path) == 0o600
    assert {mode(path.parent), mode(path.parent.parent)} == {0o700}
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_a_file_that_others_could_read_is_private_when_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    aim.write_text("untouched")
    (tmp_path / "link").symlink_to(aim)
    write_private(tmp_path / "link", "new")
    assert (aim.read_text(), (tmp_path / "link").is_symlink()) == ("untouched", False)


def test_a_new_file_never_replaces_one(tmp_path: Path) -> None:
    create_private(tmp_path / "file", "first")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "file", "second")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "first")]


def test_lines_are_appended_whole(tmp_path: Path) -> None:
    for number in range(3):
        append_private(tmp_path / "lines", f"line {number}")
    assert (tmp_path / "lines").read_text() == "line 0\nline 1\nline 2\n"


def test_file_opened_for_a_program_is_closed_to_others_and_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "database"
    path.write_bytes(b"content")
    path.chmod(0o666)
    make_private_file(path)
    assert (path.read_bytes(), mode(path)) == (b"content", 0o600)
    with os.fdopen(open_private(tmp_path / "new"), "r+b") as file:
        file.write(b"x")
    assert mode(tmp_path / "new") == 0o600


def _write_beyond_the_limit(path: Path, found: "multiprocessing.Queue[str]") -> None:
    """A limit on the size of files fails as a full disk does: in the middle of a write."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        write_private(path, "x" * 100_000)
    except OSError as error:
        found.put(str(error.strerror))


def test_a_write_that_finds_the_disk_full_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_private(tmp_path / "file", "old")
    context = multiprocessing.get_context("spawn")
    found: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_write_beyond_the_limit, args=(tmp_path / "file", found))
    child.start()
    child.join(60)
    assert found.get(timeout=10) == "File too large"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]
