"""Putting pieces together: once, whole, by whoever comes first, and never over what is somebody else's."""

from __future__ import annotations

import errno
import os
import stat
import tracemalloc
from hashlib import sha256

import pytest

from fieldstone.jobs.export import together
from fieldstone.jobs.export.columns import Column, Holds
from fieldstone.jobs.export.formats import format_of
from fieldstone.jobs.export.pieces import PieceLostError, Pieces, rows_of
from fieldstone.jobs.export.together import FileTakenError, Whole
from fieldstone.jobs.folders import FolderUnsafeError

COLUMNS = (Column("learner_id", Holds.INTEGER), Column("fields", Holds.JSON))


@pytest.fixture
def pieces(tmp_path):
    return Pieces(tmp_path / "jobs" / "job-1")


def lay_down(pieces, numbers, part=1, name="jsonl"):
    rows = [(number, '{"answer": "' + "x" * 500 + '"}') for number in numbers]
    return pieces.lay_down(part, max(numbers), lambda file: format_of(name).write(COLUMNS, rows, file))


def whole(pieces, file, name="jsonl", **more):
    return Whole(pieces, format_of(name), COLUMNS, file, **more)


def learners(file):
    return [int(line.split()[1].rstrip(",")) for line in file.read_text().splitlines()]


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_the_pieces_that_are_named_are_used_and_none_is_left(pieces, tmp_path):
    first = lay_down(pieces, [1, 2])
    lay_down(pieces, [3])  # of a chunk that was never committed
    (pieces.folder / ".half-1").write_text("of a worker that was killed")
    (tmp_path / ".out.jsonl.job-1-9-9.half").write_text("of another")
    second = lay_down(pieces, [3, 4])
    file = tmp_path / "out.jsonl"
    assert whole(pieces, file).put_together([first, second])["rows"] == 4
    assert learners(file) == [1, 2, 3, 4]
    assert left(pieces.folder) == [together.NOTE]
    assert left(tmp_path) == ["jobs", "out.jsonl"]
    assert [rows_of(name) for name in (first, second)] == [2, 2]


def test_doing_it_again_changes_nothing(pieces, tmp_path):
    names, file = [lay_down(pieces, [1])], tmp_path / "out.jsonl"
    found = whole(pieces, file).put_together(names)
    before = file.stat()
    assert whole(pieces, file).put_together(names) == found
    assert file.stat() == before
    file.unlink()
    assert whole(pieces, file).put_together(names) == found, "whoever fetched the file has it"


@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_at_once_both_say_the_same(pieces, tmp_path, monkeypatch, is_first):
    """While one is at it, another does all of it: before the first piece is read, or when the file is made."""
    names, file = [lay_down(pieces, [1]), lay_down(pieces, [2])], tmp_path / "out.jsonl"
    others = []

    def other(*arguments):
        monkeypatch.undo()
        others.append(whole(pieces, file).put_together(names))
        return real(*arguments)

    where, what = (Pieces, "opened") if is_first else (Whole, "_put_in_place")
    real = getattr(where, what)
    monkeypatch.setattr(where, what, other)
    found = whole(pieces, file).put_together(names)
    assert others == [found]
    assert found["sha256"] == sha256(file.read_bytes()).hexdigest()
    assert left(tmp_path) == ["jobs", "out.jsonl"]


def test_another_file_is_never_replaced(pieces, tmp_path):
    names, file = [lay_down(pieces, [1])], tmp_path / "out.jsonl"
    file.write_text("mine")
    with pytest.raises(FileTakenError, match="Move it away"):
        whole(pieces, file).put_together(names)
    assert file.read_text() == "mine"
    assert names[0] in left(pieces.folder), "nothing is lost: it can be tried again"
    assert left(tmp_path) == ["jobs", "out.jsonl"]


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_file_system_without_hard_links_will_do(pieces, tmp_path, monkeypatch, is_taken):
    def link(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    names, file = [lay_down(pieces, [1])], tmp_path / "out.jsonl"
    if is_taken:
        file.write_text("mine")
        with pytest.raises(FileTakenError):
            whole(pieces, file).put_together(names)
        assert file.read_text() == "mine"
    else:
        whole(pieces, file).put_together(names)
        assert learners(file) == [1]


def test_the_note_of_another_job_of_the_same_number_is_passed_over(pieces, tmp_path):
    """The database was made anew, and the folder stayed."""
    whole(pieces, tmp_path / "old.jsonl").put_together([lay_down(pieces, [1])])
    whole(pieces, tmp_path / "new.jsonl").put_together([lay_down(pieces, [2])])
    assert learners(tmp_path / "new.jsonl") == [2]
    whole(pieces, tmp_path / "none.jsonl").put_together([])
    assert learners(tmp_path / "none.jsonl") == []


def test_a_piece_that_is_gone_is_told_of(pieces, tmp_path):
    names = [lay_down(pieces, [1]), lay_down(pieces, [2])]
    (pieces.folder / names[1]).unlink()
    with pytest.raises(PieceLostError, match="JOBS_FOLDER"):
        whole(pieces, tmp_path / "out.jsonl").put_together(names)
    assert left(tmp_path) == ["jobs"]


def test_what_fails_in_the_middle_leaves_no_piece(pieces):
    def write(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        pieces.lay_down(1, 1, write)
    assert left(pieces.folder) == []


def test_a_folder_that_anybody_may_write_to_is_refused(pieces):
    pieces.folder.mkdir(parents=True)
    pieces.folder.chmod(0o777)
    with pytest.raises(FolderUnsafeError, match="set JOBS_FOLDER"):
        lay_down(pieces, [1])


def test_a_folder_that_is_a_link_is_refused(pieces, tmp_path):
    pieces.folder.parent.mkdir()
    pieces.folder.symlink_to(tmp_path)
    with pytest.raises(FolderUnsafeError):
        lay_down(pieces, [1])


@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_who_puts_together_says_that_it_is_still_here(pieces, tmp_path, monkeypatch, name):
    monkeypatch.setattr(together, "SECONDS_BETWEEN_BEATS", 0)
    names, beats = [lay_down(pieces, [1], name=name), lay_down(pieces, [2], name=name)], []
    whole(pieces, tmp_path / "out", name, still_here=lambda: beats.append(1)).put_together(names)
    assert len(beats) >= 2


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(pieces, tmp_path, monkeypatch, name):
    """Twenty thousand states take no more than two thousand: what is held is some rows, not the file."""
    monkeypatch.setattr("fieldstone.jobs.export.parquet.ROWS_TO_A_GROUP", 500)
    peaks = []
    for round_, count in enumerate((2_000, 20_000)):
        names = [lay_down(pieces, range(n, n + 500), name=name) for n in range(1, count, 500)]
        file = tmp_path / f"out{round_}"
        tracemalloc.start()
        try:
            found = whole(pieces, file, name).put_together(names)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert found["rows"] == count
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert peaks[1] < peaks[0] * 1.5 + 200_000
