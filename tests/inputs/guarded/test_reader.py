"""Reading in a child: same answers, and whatever the file does, the service lives and nothing is left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from inputs.ecg.prepare import prepare_ecg
from inputs.ecg.read import read_ecg
from inputs.echo.read import read_echo
from inputs.errors import NO_ROOM_TO_READ, ReaderUnavailable, UnreadableFile
from inputs.guarded import messages as guarded_messages
from inputs.guarded.messages import (
    TAKEN,
    pack_error,
    pack_recording,
    read_message,
    unpack_recording,
    write_message,
)
from inputs.guarded.reader import GuardedReader
from inputs.limits import MAX_SENTENCE_LETTERS, ChildLimits
from inputs.records import InputWarning, ReadHints, UploadedFile
from inputs.specs import EcgSpec


@pytest.fixture(scope="module")
def reader():
    with GuardedReader() as reader:
        reader.warm()
        yield reader


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """A temporary folder of our own, to see what is left in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def children_of(reader: GuardedReader) -> list[int]:
    return [child.pid for child in reader._children]


def ready(reader: GuardedReader) -> int:
    reader.warm()
    (pid,) = children_of(reader)
    return pid


def refusal(reader: GuardedReader, files, **options) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        reader.read_ecg(files, ReadHints(**options))
    return caught.value


def test_child_gives_the_same_recording_and_the_same_prepared_bits(reader, ecg):
    for files, options in (
        (ecg.wfdb(), {}),
        ([ecg.dicom(ecg.dicom_group(ecg.signal_mv()))], {}),
        ([ecg.csv()], {"rate_hz": 500.0, "unit": "mV"}),
        ([ecg.npy(ecg.signal_mv()[:2])], {"rate_hz": 500.0, "unit": "mV", "leads": ("I", "II")}),
    ):
        hints = ReadHints(**options)
        guarded, direct = reader.read_ecg(files, hints), read_ecg(files, hints)
        np.testing.assert_array_equal(guarded.signal_mv, direct.signal_mv)
        assert (guarded.rate_hz, guarded.lead_names, guarded.source_format, guarded.warnings) == (
            direct.rate_hz, direct.lead_names, direct.source_format, direct.warnings,
        )  # fmt: skip
        if len(direct.lead_names) == 12:
            assert (
                prepare_ecg(guarded, EcgSpec()).signal_LN.tobytes()
                == prepare_ecg(direct, EcgSpec()).signal_LN.tobytes()
            )


def test_a_successor_that_cannot_be_started_costs_no_slot(ecg, monkeypatch):
    with GuardedReader(ChildLimits(files_per_child=1)) as reader:
        reader.warm()
        with monkeypatch.context() as broken:
            broken.setattr("inputs.guarded.reader.subprocess.Popen", refuse_to_start)
            assert reader.read_ecg(ecg.wfdb()).lead_names
            wait_until(lambda: reader._idle.qsize() == 1)  # else the next call waits for ever
        assert reader.read_ecg(ecg.wfdb()).lead_names


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def refuse_to_start(*_: object, **__: object) -> None:
    raise OSError(11, "Resource temporarily unavailable")


def left_in(temporary: Path) -> list[Path]:
    """What requests left, whatever folder of this process they lie in."""
    return [path for folder in temporary.iterdir() for path in folder.iterdir()]


@pytest.mark.parametrize("number", sorted(NO_ROOM_TO_READ))
def test_no_room_for_temporary_files_is_not_the_files_fault(ecg, monkeypatch, number):
    def full(*_: object, **__: object) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr("inputs.ecg.formats.wfdb.tempfile.mkdtemp", full)
    with pytest.raises(OSError, match="full") as direct:
        read_ecg(ecg.wfdb())
    message = {"kind": "no_space", "errno": direct.value.errno}, []
    assert guarded_messages.pack_no_space(direct.value) == message[0]
    with pytest.raises(OSError) as told:  # noqa: PT011 - its number is looked at
        guarded_messages.raise_if_error(message)
    assert told.value.errno == number


def test_a_host_that_limits_cpu_time_already_is_no_obstacle(ecg):
    request = b"import resource; resource.setrlimit(resource.RLIMIT_CPU, (60, 60)); import sys\n"
    program = request + (
        b"import inputs.guarded.child as child; child._limit_cpu(10); child._limit_cpu(500)\n"
        b"print(resource.getrlimit(resource.RLIMIT_CPU))"
    )
    done = subprocess.run([sys.executable, "-c", program.decode()], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(60, 60)"


def test_an_ecg_that_claims_to_be_huge_is_not_received():
    stream = io.BytesIO()
    write_message(stream, {"kind": "ecg"}, [bytes(2000)])
    stream.seek(0)
    with pytest.raises(ValueError, match="too large"):
        read_message(stream, 1000)


def test_child_gives_the_same_clip_and_its_frames_can_be_written_to(reader):
    path = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    guarded, direct = reader.read_echo(path, max_frames=4), read_echo(path, max_frames=4)
    np.testing.assert_array_equal(guarded.frames_THWC, direct.frames_THWC)
    assert guarded.frame_rate_hz == direct.frame_rate_hz
    assert guarded.frames_THWC.flags.writeable
    every_third = reader.read_echo(path, max_frames=4, every=3)
    np.testing.assert_array_equal(every_third.frames_THWC, direct.frames_THWC[::3])
    assert every_third.frame_step == 3


def test_refusal_arrives_with_code_hint_and_leads(reader, ecg):
    files = ecg.wfdb(gain="1000(0)/mmHg")
    with pytest.raises(UnreadableFile) as direct:
        read_ecg(files)
    guarded = refusal(reader, files)
    assert (guarded.code, str(guarded), guarded.hint, guarded.leads) == (
        direct.value.code, str(direct.value), direct.value.hint, direct.value.leads,
    )  # fmt: skip


def test_missing_clip_is_a_refusal(reader, tmp_path):
    with pytest.raises(UnreadableFile):
        reader.read_echo(tmp_path / "none.dcm")


def test_child_knows_neither_our_secrets_nor_torch(monkeypatch):
    monkeypatch.setenv("ECHO2ECG_SECRET", "do-not-tell")
    with GuardedReader() as reader:
        pid = ready(reader)
        assert b"do-not-tell" not in Path(f"/proc/{pid}/environ").read_bytes()
        libraries = Path(f"/proc/{pid}/maps").read_text()
        assert "libtorch" not in libraries
        assert "faiss" not in libraries


def test_two_threads_read_at_once_in_two_children(ecg):
    files = [ecg.wfdb(ecg.signal_mv(seed)) for seed in range(6)]
    found: dict[int, np.ndarray] = {}
    with GuardedReader(workers=2) as reader:
        reader.warm()

        def work(start: int) -> None:
            for index in range(start, 6, 2):
                found[index] = reader.read_ecg(files[index]).signal_mv

        threads = [threading.Thread(target=work, args=(start,)) for start in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(children_of(reader)) == 2
    for index in range(6):
        np.testing.assert_array_equal(found[index], read_ecg(files[index]).signal_mv)


def test_child_that_takes_too_much_memory_dies_and_the_next_request_is_served(ecg, temporary):
    with GuardedReader(ChildLimits(memory_bytes=64 * 2**20)) as reader:
        ready(reader)
        hungry = ecg.npy(np.zeros((12, 333_000), np.float64))  # 32 MB of its own, and more to read it
        assert refusal(reader, [hungry], rate_hz=1000.0, unit="mV").code == "reading_failed"
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0
        assert left_in(temporary) == []


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def seen_running(*_: object) -> None:
    """Stands in for a look at a child that is stopped just after it."""


def test_child_that_hangs_is_killed_at_the_wall_limit_and_nothing_is_left(ecg, temporary, monkeypatch):
    with GuardedReader(ChildLimits(wall_s=0.5)) as reader:
        pid = ready(reader)
        stop(pid)
        monkeypatch.setattr("inputs.guarded.reader.os.waitid", seen_running)
        error = refusal(reader, ecg.wfdb())
        assert error.code == "reading_failed"
        assert "0.5 s" in str(error)
        assert not Path(f"/proc/{pid}").exists()
        assert left_in(temporary) == []


def test_child_that_computes_too_long_is_ended_by_its_cpu_limit(ecg):
    """A table of 600,000 rows takes seconds to read; a child with one second of processor time does not get there."""
    row = b"\n" + b",".join([b"0.1"] * 6)
    table = UploadedFile("ecg.csv", ",".join(ecg.leads[:6]).encode() + row * 599_000)
    with GuardedReader(ChildLimits(cpu_s=0, wall_s=60.0)) as reader:
        ready(reader)
        assert refusal(reader, [table], rate_hz=1000.0, unit="mV").code == "reading_failed"


def test_child_killed_from_outside_between_requests_is_not_noticed(ecg):
    with GuardedReader() as reader:
        pid = ready(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


def test_child_killed_over_a_file_fails_that_request_only(ecg, monkeypatch):
    killed = []

    def kill_once_taken(stream, *limits):
        message = read_message(stream, *limits)
        if message[0] == TAKEN and not killed:
            killed.append(ready_child.pid)
            os.kill(ready_child.pid, signal.SIGKILL)
        return message

    table = UploadedFile("ecg.csv", ",".join(ecg.leads).encode() + (b"\n" + b",".join([b"0.1"] * 12)) * 100_000)
    with GuardedReader() as reader:
        reader.warm()
        (ready_child,) = reader._children
        monkeypatch.setattr("inputs.guarded.reader.read_message", kill_once_taken)
        assert refusal(reader, [table], rate_hz=1000.0, unit="mV").code == "reading_failed"
        assert killed
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


@pytest.mark.parametrize("upload", ["small", "larger than a pipe holds"])
def test_child_killed_before_it_took_the_file_is_not_noticed(ecg, monkeypatch, upload):
    files = ecg.wfdb() if upload != "small" else [UploadedFile("ecg.csv", b"I,II\n" + b"0.1,0.2\n" * 500)]
    with GuardedReader() as reader:
        pid = ready(reader)
        stop(pid)
        monkeypatch.setattr("inputs.guarded.reader.os.waitid", seen_running)
        killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        killer.start()
        assert reader.read_ecg(files, ReadHints(500.0, "mV")).rate_hz == 500.0
        killer.join()
        assert not Path(f"/proc/{pid}").exists()


def test_children_killed_again_and_again_before_they_took_the_file_are_no_fault_of_it(ecg, monkeypatch):
    asked = []

    def killed_first(stream, *message):
        if message[0].get("kind") == "ecg":
            (child,) = (child for child in reader._children if child._requests is stream)
            asked.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)
        write_message(stream, *message)

    with GuardedReader() as reader:
        reader.warm()
        with monkeypatch.context() as broken:
            broken.setattr("inputs.guarded.reader.write_message", killed_first)
            with pytest.raises(ReaderUnavailable):
                reader.read_ecg(ecg.wfdb())
        assert len(set(asked)) == 2
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


def test_names_of_any_letters_are_passed_on_whole_within_a_bound(reader, ecg):
    name = "n" * 240
    header, data = ecg.wfdb(name="rec", file=f"{name}.dat")
    assert reader.read_ecg([header, data]).rate_hz == 500.0
    emoji = [UploadedFile("\U0001f600" * 63 + ".txt", b"x")] * 62
    assert reader.read_ecg([header, data, *emoji]).warnings[0].code == "files_ignored"
    pid = ready(reader)
    longer = [UploadedFile("\U0001f600" * 198 + str(number), b"x") for number in range(30)]
    assert refusal(reader, [header, data, *longer]).code == "names_too_long"
    assert ready(reader) == pid


def test_no_refusal_costs_the_child_its_life(ecg, reader):
    error = UnreadableFile("unreadable_file", "A sentence with\ttabs\n" + "and letters " * 100, hint="x\0" * 500)
    with pytest.raises(UnreadableFile) as told:
        guarded_messages.raise_if_error(travelled(pack_error(error)))
    assert told.value.sentence.startswith("A sentence with tabs and letters")
    assert len(told.value.sentence) <= MAX_SENTENCE_LETTERS
    pid = ready(reader)
    for shape in (
        b"(12, " + b"9" * 3500 + b")",
        b"(" + b"-" * 9000 + b"12, 2)",
        b"(" * 9000,
        b"(12, 1" + b"0" * 13 + b")",
    ):
        text = b"{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + b"}"
        file = UploadedFile("ecg.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
        assert refusal(reader, [file], rate_hz=500.0).sentence == "The NumPy file has a damaged header."
    assert ready(reader) == pid


def test_child_is_replaced_after_its_share_of_files(ecg):
    with GuardedReader(ChildLimits(files_per_child=2)) as reader:
        pids = []
        for _ in range(3):
            pids.append(ready(reader))
            reader.read_ecg(ecg.wfdb())
        assert pids[0] == pids[1] != pids[2]


def test_wfdb_folder_is_private_and_gone_afterwards(reader, ecg, temporary):
    reader.read_ecg(ecg.wfdb())
    refusal(reader, ecg.wfdb()[:1])
    assert left_in(temporary) == []


def test_closing_ends_the_children_and_further_reading(ecg):
    reader = GuardedReader()
    pid = ready(reader)
    reader.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(RuntimeError, match="closed"):
        reader.read_ecg(ecg.wfdb())


def test_upload_of_too_many_parts_is_refused(reader):
    assert refusal(reader, [UploadedFile(str(n), b"x") for n in range(65)]).code == "too_many_files"


def travelled(header, parts=()):
    stream = io.BytesIO()
    write_message(stream, header, parts)
    stream.seek(0)
    return read_message(stream)


def test_recording_survives_the_journey(ecg):
    recording = ecg.recording()
    recording = type(recording)(
        recording.signal_mv, 500.0, recording.lead_names, "wfdb", (InputWarning("code", "A sentence.", ("V1",)),)
    )
    found = unpack_recording(travelled(*pack_recording(recording)))
    np.testing.assert_array_equal(found.signal_mv, recording.signal_mv)
    assert found.warnings == recording.warnings


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [12, 4999]}, {"shape": [-12, -5000]}, {"shape": [60000]}, {"rate_hz": "500"},
        {"rate_hz": float("nan")},
        {"leads": ["<script>"] * 12}, {"format": "../x"}, {"warnings": [["code", "x" * 500, []]]},
        {"warnings": [["code", "two\nlines", []]]}, {"kind": "echo"},
    ],
)  # fmt: skip
def test_answer_of_a_child_gone_bad_is_not_believed(ecg, change):
    header, parts = pack_recording(ecg.recording())
    with pytest.raises((ValueError, KeyError, TypeError)):
        unpack_recording(travelled({**header, **change}, parts))


def test_error_of_an_unknown_kind_is_not_believed():
    header = {**pack_error(UnreadableFile("code", "Sentence.")), "error": "SystemExit"}
    with pytest.raises(KeyError):
        guarded_messages.raise_if_error(travelled(header))


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!I", 2**31), struct.pack("!I", 2) + b"[]", struct.pack("!I", 3) + b"{x}",
        (lambda text: struct.pack("!I", len(text)) + text)(json.dumps({"sizes": [2**40]}).encode()),
        (lambda text: struct.pack("!I", len(text)) + text)(json.dumps({"sizes": [-1]}).encode()),
    ],
)  # fmt: skip
def test_message_that_is_none_or_too_large_is_refused_before_it_is_read(data):
    with pytest.raises(ValueError):  # noqa: PT011  (json's own error is one)
        read_message(io.BytesIO(data))


def test_message_cut_short_is_the_end_of_the_child():
    with pytest.raises(EOFError):
        read_message(io.BytesIO(b"\0\0"))
