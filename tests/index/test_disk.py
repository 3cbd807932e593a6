"""What a disk refuses ends a write in one sentence, whoever meets it and at whatever step."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from made_up_cohorts import make_cohort, rebuild
from made_up_generations import write_generation

import index.rebuild
from embedding.view_cache import ViewCache
from ground.progress import Failure, parse_line
from index.base import IndexNotWritten
from index.store import IndexStore

NO_SPACE = "There is no space left for a new index generation; nothing was changed."
READ_ONLY = "The index folder cannot be written to."
SAID = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EFBIG: NO_SPACE,
    errno.EROFS: READ_ONLY,
    errno.EACCES: READ_ONLY,
}
STEPS = [
    "locked", "temporary folder made", "catalogue written", "vectors written", "files flushed", "manifest written",
    "temporary folder flushed", "new CURRENT written",
]  # fmt: skip


@pytest.mark.parametrize("number", SAID)
@pytest.mark.parametrize("step", STEPS)
def test_at_every_step_it_is_one_sentence_and_the_old_generation_stays(tmp_path, number, step):
    write_generation(tmp_path, seed=1)

    def refuse(name):
        if name == step:
            raise OSError(number, os.strerror(number), "/srv/index/secret")

    with pytest.raises(IndexNotWritten) as refused:
        write_generation(tmp_path, seed=2, on_step=refuse)
    assert refused.value.in_full == SAID[number]
    assert not list(tmp_path.rglob("*.tmp"))
    assert (IndexStore(tmp_path).verify(), IndexStore(tmp_path).current_id()) == ([], "000001")
    assert write_generation(tmp_path, seed=2) == "000002"


@pytest.mark.parametrize("number", SAID)
@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_so_it_is_where_not_even_a_folder_or_the_lock_can_be_made(tmp_path, monkeypatch, number, call):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(IndexNotWritten) as refused:
        write_generation(tmp_path / "index", seed=1)
    assert refused.value.sentence == SAID[number]


def of_sqlite(code):
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (sqlite3.SQLITE_FULL, NO_SPACE),
        (sqlite3.SQLITE_IOERR_WRITE, NO_SPACE),
        (sqlite3.SQLITE_READONLY, READ_ONLY),
        (sqlite3.SQLITE_CANTOPEN, READ_ONLY),
    ],
)
def test_sqlites_words_mean_the_same(tmp_path, code, sentence, wrapped):
    def refuse(name):
        if name == "catalogue written":
            error = of_sqlite(code)
            raise sa.exc.OperationalError("INSERT", {}, error) if wrapped else error

    with pytest.raises(IndexNotWritten) as refused:
        write_generation(tmp_path, seed=1, on_step=refuse)
    assert refused.value.sentence == sentence


def test_where_view_vectors_find_no_room_the_index_stays(tmp_path, monkeypatch):
    cohort = make_cohort(tmp_path / "cohort")
    rebuild(cohort, tmp_path / "index")
    before = answers_of(tmp_path / "index")
    (tmp_path / "index" / "embeddings.sqlite").unlink()

    def full(*_):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with monkeypatch.context() as patched:
        patched.setattr(ViewCache, "put", full)
        with pytest.raises(IndexNotWritten, match="no space left"):
            rebuild(cohort, tmp_path / "index")
    assert answers_of(tmp_path / "index") == before
    assert rebuild(cohort, tmp_path / "index").studies == 6


def answers_of(root):
    generation = IndexStore(root).open_current()
    found = generation.index.search(generation.index.vectors_ND, 3)
    generation.close()
    return found.ids_BK.tolist(), found.similarity_BK.tolist()


@pytest.fixture
def program(tmp_path, monkeypatch, capsys):
    """`python -m index.rebuild` whose rebuild meets an error: its exit code and what its last line says."""

    def run(error):
        def refuse(*_, **__):
            raise error

        monkeypatch.setattr(index.rebuild, "rebuild_index", refuse)
        code = index.rebuild.main(["--bundle=b", "--cohort=c", f"--index={tmp_path}", "--device=cpu"])
        said = parse_line(capsys.readouterr().out.splitlines()[-1].encode())
        assert isinstance(said, Failure)
        return code, said.sentence

    return run


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "There is no space left on the device."),
        (errno.EDQUOT, "There is no space left on the device."),
        (errno.EROFS, "Read-only file system."),
        (errno.EIO, "Input/output error."),
        (errno.EMFILE, "Too many open files."),
        (errno.ENOENT, "No such file or directory."),
    ],
)
def test_the_program_says_so_too_without_a_path_or_a_traceback(program, number, sentence):
    assert program(OSError(number, os.strerror(number), "/srv/secret")) == (1, sentence)


def test_an_error_that_only_we_can_cause_keeps_its_traceback(program):
    with pytest.raises(OSError, match="Bad file descriptor"):
        program(OSError(errno.EBADF, os.strerror(errno.EBADF)))


def test_an_empty_cohort_is_refused_before_anything_is_made(tmp_path, capsys):
    cohort = empty_cohort(tmp_path / "cohort")
    with pytest.raises(IndexNotWritten, match="The cohort has no studies, so there is nothing to index"):
        rebuild(cohort, tmp_path / "index")
    assert not (tmp_path / "index").exists()
    bundle = Path(__file__).parents[2] / "bundles" / "demo"
    options = {"bundle": bundle, "cohort": cohort, "index": tmp_path / "index", "device": "cpu"}
    assert index.rebuild.main([f"--{name}={value}" for name, value in options.items()]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert parse_line(line.encode()) == Failure("The cohort has no studies, so there is nothing to index.")
    assert not index.rebuild.is_current(bundle, cohort, tmp_path / "index")


def empty_cohort(root):
    """Tables of header rows."""
    make_cohort(root, studies=1)
    for path in root.glob("*.csv"):
        path.write_text(path.read_text().splitlines()[0] + "\n")
    return root


def test_when_the_disk_is_full_the_threads_that_read_have_ended_before_the_cache_is_closed(tmp_path, monkeypatch):
    cohort = make_cohort(tmp_path / "cohort", studies=40)
    late = []
    close = ViewCache.close

    def closing(cache):
        close(cache)
        monkeypatch.setattr(ViewCache, "get", lambda *_: late.append(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ViewCache, "close", closing)
    monkeypatch.setattr(ViewCache, "put", full)
    with pytest.raises(IndexNotWritten, match="no space left"):
        rebuild(cohort, tmp_path / "index")
    time.sleep(0.2)
    assert not late
