"""Children that cannot start, die as they start, are stopped or starved: no file's fault, and the next one is read.

Also what they leave of the machine: descriptors, processes, priority, and what a kill of the service leaves.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from inputs.errors import NO_ROOM_TO_READ, InputError, ReaderUnavailable, UnreadableFile
from inputs.guarded.child import BEHIND_THE_SERVICE
from inputs.guarded.reader import GuardedReader, _Child
from inputs.limits import ChildLimits
from inputs.records import ReadHints

ROOT = Path(__file__).resolve().parents[3]
POPEN = "inputs.guarded.reader.subprocess.Popen"


def wait_until(holds, seconds=20.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def only_child(reader):
    reader.warm()
    (child,) = reader._children
    return child


@pytest.fixture
def killed_as_they_start(monkeypatch):
    """Kills so many of the next children before their parsers are imported."""
    wait, left = _Child.wait_until_ready, [0]

    def killed(child):
        if left[0] and not child._ready:
            left[0] -= 1
            os.kill(child.pid, signal.SIGKILL)
        wait(child)

    monkeypatch.setattr(_Child, "wait_until_ready", killed)

    def next_ones(count):
        left[0] = count

    return next_ones


def test_children_killed_as_they_start_are_replaced_and_nobody_notices(ecg, killed_as_they_start):
    with GuardedReader() as reader:
        killed_as_they_start(3)
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0
        only_child(reader).kill()
        killed_as_they_start(2)
        reader.warm()
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


def test_when_none_can_be_started_no_file_is_at_fault_and_later_ones_are_read(ecg, killed_as_they_start):
    with GuardedReader() as reader:
        killed_as_they_start(1000)
        for ask in (lambda: reader.read_ecg(ecg.wfdb()), reader.warm):
            with pytest.raises(ReaderUnavailable) as refused:
                ask()
            assert not isinstance(refused.value, InputError)
            assert refused.value.code == "reader_unavailable"
        wait_until(lambda: reader._idle.qsize() == 1)
        killed_as_they_start(0)
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE])
def test_no_room_for_a_process_is_no_fault_of_the_file(ecg, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    with GuardedReader() as reader, monkeypatch.context() as broken:
        broken.setattr(POPEN, refuse)
        broken.setattr("inputs.guarded.reader._PAUSES_S", (0.0, 0.01))
        with pytest.raises(ReaderUnavailable):
            reader.read_ecg(ecg.wfdb())
        with pytest.raises(ReaderUnavailable):
            reader.warm()
        broken.undo()
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


def test_no_room_for_a_thread_is_no_fault_of_the_file(ecg, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    with GuardedReader() as reader:
        reader.warm()
        with monkeypatch.context() as broken:
            broken.setattr("inputs.guarded.reader.threading.Thread.start", refuse)
            with pytest.raises(ReaderUnavailable):
                reader.read_ecg(ecg.wfdb())
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


def test_the_wait_for_a_child_that_does_not_start_has_an_end(ecg):
    started = time.monotonic()
    with GuardedReader(ChildLimits(start_s=0.001)) as reader, pytest.raises(ReaderUnavailable):
        reader.read_ecg(ecg.wfdb())
    assert time.monotonic() - started < 5


def test_a_stopped_child_is_replaced_before_it_is_asked(ecg):
    with GuardedReader() as reader:
        child = only_child(reader)
        os.kill(child.pid, signal.SIGSTOP)
        wait_until(lambda: not child.alive)
        started = time.monotonic()
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0
        assert time.monotonic() - started < ChildLimits().wall_s
        assert not Path(f"/proc/{child.pid}").exists()


def test_after_a_child_without_memory_the_next_request_is_served(ecg):
    with GuardedReader() as reader:
        child = only_child(reader)
        resource.prlimit(child.pid, resource.RLIMIT_AS, (120_000_000, 120_000_000))
        with pytest.raises(UnreadableFile, match="Reading this file failed"):
            reader.read_ecg([ecg.npy(np.zeros((12, 333_000)))], ReadHints(500.0, "mV"))
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


def test_no_memory_to_decode_a_clip_with_is_no_damage(tmp_path, monkeypatch):
    from inputs.echo.formats import dicom_cine, dicom_header, video
    from inputs.opened import open_regular_file

    def no_memory(*_, **__):
        raise MemoryError

    (tmp_path / "clip").write_bytes(b"\0\0\0\x10ftyp" + bytes(200))
    monkeypatch.setattr(dicom_header, "dcmread", no_memory)
    monkeypatch.setattr(video.av, "open", no_memory)
    with open_regular_file(tmp_path / "clip") as file:
        for read in (dicom_cine.read_dicom_cine, video.MP4.read):
            with pytest.raises(MemoryError):
                read(file, 2, 1)


def test_nobody_waits_for_the_successor_of_a_child(ecg, monkeypatch):
    with GuardedReader(ChildLimits(files_per_child=1)) as reader:
        reader.warm()
        kill = _Child.kill

        def slowly(child):
            time.sleep(1.0)
            kill(child)

        monkeypatch.setattr(_Child, "kill", slowly)
        started = time.monotonic()
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0
        assert time.monotonic() - started < 1.0
        wait_until(lambda: reader._idle.qsize() == 1)


def test_whoever_ended_a_child_waits_for_its_successor(ecg, monkeypatch):
    """So the files of one caller end no more children at a time than that caller may use."""
    with GuardedReader(ChildLimits()) as reader:
        ended = only_child(reader)

        def odd(_message):
            raise KeyError("nothing that a child may answer")

        with monkeypatch.context() as broken:
            broken.setattr("inputs.guarded.reader.unpack_recording", odd)
            with pytest.raises(UnreadableFile):
                reader.read_ecg(ecg.wfdb())
        (successor,) = reader._children
        assert successor is not ended
        assert successor._ready
        assert reader._idle.qsize() == 1


def test_descriptors_and_processes_stay_as_many_after_kills(ecg):
    with GuardedReader() as reader:
        reader.read_ecg(ecg.wfdb())
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            child = only_child(reader)
            os.kill(child.pid, signal.SIGKILL)
            wait_until(lambda: not child.alive)  # noqa: B023
            reader.read_ecg(ecg.wfdb())
        reader.warm()
        assert len(os.listdir("/proc/self/fd")) == before
        assert len(reader._children) == 1


def test_children_come_after_the_service_on_a_busy_core():
    with GuardedReader() as reader:
        nice = os.getpriority(os.PRIO_PROCESS, only_child(reader).pid)
    assert nice == min(19, os.getpriority(os.PRIO_PROCESS, 0) + BEHIND_THE_SERVICE)


HOLDING = """
import sys, threading, time
from inputs.guarded.reader import GuardedReader
from inputs.records import ReadHints, UploadedFile
table = b"I,II,III,aVR,aVL,aVF\\n" + (b"0.1," * 5 + b"0.1\\n") * 599_000
reader = GuardedReader()
reader.warm()
print(*[child.pid for child in reader._children], flush=True)
if sys.argv[1] == "busy":
    reader.read_ecg([UploadedFile("x", table)], ReadHints(500.0, "mV"))
time.sleep(60)
"""


@pytest.fixture
def service(tmp_path):
    """Starts a process with a reader: itself and its reading child."""
    started = []

    def start(what):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDING, what],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def ended(pid):
    """Gone, or a zombie that whoever adopted it has not looked at."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("what", ["idle", "busy"])
def test_children_of_a_killed_service_end_at_once(service, what):
    process, child = service(what)
    time.sleep(0.7)
    assert not ended(child)
    process.kill()
    wait_until(lambda: ended(child), seconds=2.0)


def test_uploads_of_a_killed_service_are_removed_by_the_next_reader_and_by_no_other(service, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process, _ = service("busy")
    wait_until(lambda: len(list(tmp_path.glob("echo2ecg-reading-*/*"))) == 1)
    with GuardedReader():
        assert len(list(tmp_path.glob("echo2ecg-reading-*/*"))) == 1, "the other one is still at it"
    process.kill()
    process.wait()
    (left,) = tmp_path.iterdir()
    assert left.stat().st_mode & 0o777 == 0o700
    with GuardedReader():
        assert list(tmp_path.iterdir()) == []


def test_a_reader_whose_folder_was_tidied_away_makes_another(ecg, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with GuardedReader() as reader:
        reader.read_ecg(ecg.wfdb())
        (folder,) = tmp_path.iterdir()
        folder.rmdir()
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0
    assert list(tmp_path.iterdir()) == []


def test_no_folder_for_temporary_files_is_no_fault_of_the_file_and_no_reason_not_to_start(ecg, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with GuardedReader() as reader, pytest.raises(OSError, match="no temporary files") as refused:
        reader.read_ecg(ecg.wfdb())
    assert refused.value.errno in NO_ROOM_TO_READ
