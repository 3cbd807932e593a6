"""A file is written whole or not at all, whoever else writes and whatever happens meanwhile."""

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ground.disk import (
    Turn,
    held_folder,
    hold,
    is_no_space,
    locked,
    remove_abandoned,
    sha256_of,
    write_whole,
    written_whole,
)

ROOT = Path(__file__).resolve().parents[2]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_there_and_nothing_beside_it(tmp_path):
    write_whole(tmp_path / "a.json", "ä")
    assert (tmp_path / "a.json").read_bytes() == "ä".encode()
    write_whole(tmp_path / "a.json", b"b")
    assert names(tmp_path) == ["a.json"]
    assert sha256_of(tmp_path / "a.json") == "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"


def test_on_a_failure_the_file_is_as_it_was(tmp_path):
    write_whole(tmp_path / "a", b"before")
    with pytest.raises(TypeError, match="bytes-like"), written_whole(tmp_path / "a") as file:
        file.writelines([b"half", "and what no file takes"])
    assert (tmp_path / "a").read_bytes() == b"before"
    assert names(tmp_path) == ["a"]


def test_a_disk_without_space_leaves_the_file_as_it_was(tmp_path):
    write_whole(tmp_path / "a", b"before")
    script = (
        "import resource, signal, sys; from pathlib import Path; from ground.disk import is_no_space, write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_whole(Path(sys.argv[1]), bytes(5000))\n"
        "except OSError as error: sys.exit(7 if is_no_space(error) else 8)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a"], cwd=ROOT, check=False)
    assert done.returncode == 7
    assert (tmp_path / "a").read_bytes() == b"before"
    assert names(tmp_path) == ["a"]


def test_what_a_kill_leaves_the_next_write_removes_but_never_a_file_in_the_making(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from ground.disk import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); print('writing', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "a"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "writing\n"
        write_whole(tmp_path / "a", b"mine")
        assert len(names(tmp_path)) == 2  # the other one is still at it
        other.kill()
    assert (tmp_path / "a").read_bytes() == b"mine"
    write_whole(tmp_path / "a", b"again")
    assert names(tmp_path) == ["a"]


def test_a_private_file_is_its_owners_alone_and_others_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "key", b"k", private=True)
        write_whole(tmp_path / "report", b"r")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"key": 0o600, "report": 0o640}


def test_a_link_is_followed_and_a_pipe_written_to(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    write_whole(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"x"
    write_whole(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


def test_who_holds_a_file_keeps_others_out_until_it_is_closed(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    with open(path, "rb") as mine, open(path, "rb") as theirs:
        assert hold(mine)
        assert not hold(theirs)
    with open(path, "rb") as theirs:
        assert hold(theirs)


def test_a_lock_is_waited_for_but_not_for_ever_and_its_owner_alone_may_open_it(tmp_path):
    path = tmp_path / "lock"
    script = (
        "import sys, time; from pathlib import Path; from ground.disk import locked\n"
        "path = Path(sys.argv[1])\n"
        "with locked(path, wait_s=5, owned_as=path):\n    print('held', flush=True); time.sleep(1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, path], cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(TimeoutError), locked(path, wait_s=0.1, owned_as=path):
            pass
        started = time.monotonic()
        with locked(path, wait_s=20, owned_as=path):
            assert time.monotonic() - started > 0.2
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_there_is_one_word_for_no_space(number):
    assert is_no_space(OSError(number, "no room"))
    assert not is_no_space(OSError(errno.EACCES, "not yours"))


def test_many_writers_of_one_file_do_not_tidy_each_other_away(tmp_path):
    script = (
        "import sys; from pathlib import Path; from ground.disk import write_whole\n"
        "for number in range(150): write_whole(Path(sys.argv[1]), sys.argv[2] * 50)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, tmp_path / "a", letter], cwd=ROOT) for letter in "xyz"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() in {letter * 50 for letter in "xyz"}


@pytest.mark.parametrize("name", ["a[1].json", "a**b", "n" * 250, "ü" * 100])
def test_any_name_that_a_folder_can_hold_can_be_written(tmp_path, name):
    write_whole(tmp_path / name, b"x")
    write_whole(tmp_path / name, b"y")
    assert (tmp_path / name).read_bytes() == b"y"
    assert names(tmp_path) == [name]


def test_a_file_keeps_the_mode_that_somebody_gave_it(tmp_path):
    write_whole(tmp_path / "a", b"x")
    (tmp_path / "a").chmod(0o600)
    write_whole(tmp_path / "a", b"y")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize("to_a_file", [False, True])
def test_the_standard_output_is_written_to_and_not_replaced(tmp_path, to_a_file):
    script = (
        "from pathlib import Path; from ground.disk import write_whole\n"
        "print('before', flush=True); write_whole(Path('/dev/stdout'), 'written\\n'); print('after', flush=True)\n"
    )
    with open(tmp_path / "out", "ab") as file:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, check=True, stdout=file if to_a_file else subprocess.PIPE
        )
    said = (tmp_path / "out").read_bytes() if to_a_file else done.stdout
    assert said.endswith(b"written\nafter\n")
    assert names(tmp_path) == ["out"]


def test_a_file_that_nobody_waits_for_is_whole_too(tmp_path, monkeypatch):
    monkeypatch.setattr("ground.disk.os.fsync", lambda _: pytest.fail("somebody waited for the disk"))
    write_whole(tmp_path / "a", b"x", durable=False)
    assert (tmp_path / "a").read_bytes() == b"x"
    assert names(tmp_path) == ["a"]


def test_a_turn_is_one_holders_at_a_time_says_what_for_and_goes_with_the_process_not_with_its_children(tmp_path):
    path = tmp_path / "lock"
    mine, other = Turn(path), Turn(path)
    assert mine.taken_for() is None
    assert mine.take(b"one")
    assert other.taken_for() == mine.taken_for() == b"one"
    assert not other.take(b"two")
    assert not mine.take(b"two"), "also for who holds it"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE):
        mine.let_go()
        assert other.taken_for() is None
        assert other.take(b"two")
    assert mine.taken_for() == b"two"
    other.let_go()
    other.let_go()


def test_a_look_at_a_turn_takes_it_from_nobody_who_looks_too(tmp_path):
    path = tmp_path / "lock"
    path.write_bytes(b"one")
    with open(path, "rb") as file:
        assert hold(file, shared=True)
        assert Turn(path).taken_for() is None
        assert not Turn(path).take(b"two")
    assert path.read_bytes() == b"one"


HOLDING = """
import subprocess, sys, time; from pathlib import Path; from ground.disk import held_folder
with held_folder("work-", parent=Path(sys.argv[1])) as folder:
    (folder / "part").mkdir(); (folder / "part" / "upload").write_bytes(b"x")
    child = subprocess.Popen(["sleep", "60"])
    print(child.pid, flush=True); time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a folder, and has a child of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        child = int(process.stdout.readline())
        yield process
        process.kill()
        os.kill(child, 9)


def test_a_held_folder_is_its_owners_alone_and_gone_afterwards(tmp_path):
    with held_folder("work-", parent=tmp_path) as folder:
        assert folder.parent == tmp_path
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "upload").write_bytes(b"x")
    assert names(tmp_path) == []


def test_a_folder_that_another_process_holds_stays_and_what_its_kill_leaves_goes(tmp_path, holder):
    with held_folder("work-", parent=tmp_path):
        assert len(names(tmp_path)) == 2
    holder.kill()
    holder.wait()
    assert len(names(tmp_path)) == 1, "what a kill leaves"
    remove_abandoned("another-", parent=tmp_path)
    assert len(names(tmp_path)) == 1
    with held_folder("work-", parent=tmp_path) as folder:
        assert names(tmp_path) == [folder.name], "although a child of the killed process lives on"


def test_nothing_but_an_abandoned_folder_of_ours_is_removed(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"x")
    parent = tmp_path / "temporary"
    parent.mkdir()
    (parent / "work-abcdefgh").symlink_to(elsewhere)
    (parent / "work-bcdefghi").write_bytes(b"a file")
    (parent / "work-mine").mkdir()
    (parent / "work-ABCDEFGH").mkdir()
    (parent / "work-cdefghij").mkdir()
    monkeypatch.setattr("ground.disk.os.geteuid", lambda: os.getuid() + 1)
    remove_abandoned("work-", parent=parent)
    assert len(names(parent)) == 5, "another user's"
    monkeypatch.undo()
    remove_abandoned("work-", parent=parent)
    assert names(parent) == ["work-ABCDEFGH", "work-abcdefgh", "work-bcdefghi", "work-mine"]
    assert names(elsewhere) == ["kept"]


def test_where_there_are_no_locks_folders_are_made_and_none_is_removed(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("ground.disk.fcntl.flock", no_locks)
    with held_folder("work-", parent=tmp_path):
        remove_abandoned("work-", parent=tmp_path)
        assert len(names(tmp_path)) == 1
    assert names(tmp_path) == []


def test_where_there_are_no_locks_files_are_written_whole_too(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("ground.disk.fcntl.flock", no_locks)
    leftover = tmp_path / ".kept.abcdefgh.partial"
    leftover.write_bytes(b"perhaps in the making")
    write_whole(tmp_path / "kept", b"whole")
    assert (tmp_path / "kept").read_bytes() == b"whole"
    assert names(tmp_path) == [leftover.name, "kept"]


def test_many_processes_that_make_and_tidy_folders_leave_nothing_and_lose_nothing(tmp_path):
    script = (
        "import sys; from pathlib import Path; from ground.disk import held_folder\n"
        "for number in range(100):\n"
        "    with held_folder('work-', parent=Path(sys.argv[1])) as folder: (folder / 'x').write_bytes(b'x')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, tmp_path], cwd=ROOT) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert names(tmp_path) == []
