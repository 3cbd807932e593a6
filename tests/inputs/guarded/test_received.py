"""What a caller is told when the service, not the file, is in trouble; and that no answer reaches another caller."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import tempfile
from pathlib import Path

import pytest

from inputs.ecg.formats import wfdb
from inputs.ecg.read import read_ecg
from inputs.errors import NO_ROOM_TO_READ, ReaderUnavailable, UnreadableFile
from inputs.guarded import messages
from inputs.guarded.reader import GuardedReader, _Child


class Ended(BaseException):
    """Stands for what ends a thread from outside, such as KeyboardInterrupt."""


@pytest.mark.parametrize(
    ("trouble", "told"),
    [(MemoryError, ReaderUnavailable), (RecursionError, UnreadableFile), (Ended, Ended)],
)
@pytest.mark.parametrize("where", ["receiving", "unpacking"])
def test_trouble_with_an_answer_leaves_none_of_it_to_the_next_caller(ecg, monkeypatch, trouble, told, where):
    def fail(*_):
        raise trouble

    with GuardedReader() as reader:
        reader.warm()
        (child,) = reader._children
        with monkeypatch.context() as broken:
            if where == "receiving":
                receive = messages._read_exactly
                broken.setattr(
                    messages, "_read_exactly", lambda *given: fail() if given[1] > 200_000 else receive(*given)
                )
            else:
                broken.setattr("inputs.guarded.reader.unpack_recording", fail)
            with pytest.raises(told):
                reader.read_ecg(ecg.wfdb())
        assert not child.alive
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


def test_a_header_nested_without_end_is_refused_and_ends_the_child(ecg, monkeypatch):
    text = b"[" * 60_000
    read_end, write_end = os.pipe()
    os.write(write_end, struct.pack("!I", len(text)) + text)
    os.close(write_end)
    with pytest.raises(RecursionError):
        json.loads(text)
    with GuardedReader() as reader, open(read_end, "rb") as answers:
        reader.warm()
        (child,) = reader._children
        child._answers.close()
        monkeypatch.setattr(child, "_answers", answers)
        with pytest.raises(UnreadableFile, match="failed"):
            reader.read_ecg(ecg.wfdb())
        assert not child.alive


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_files_are_read_again_as_soon_as_the_folder_of_temporary_files_is_back(ecg, temporary):
    with GuardedReader() as reader:
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0
        shutil.rmtree(temporary)
        for _ in range(2):
            with pytest.raises(OSError, match="no temporary files") as told:
                reader.read_ecg(ecg.wfdb())
            assert told.value.errno in NO_ROOM_TO_READ
        temporary.mkdir()
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE])
def test_a_folder_that_cannot_be_made_is_no_fault_of_the_file(ecg, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    with GuardedReader() as reader, monkeypatch.context() as broken:
        broken.setattr("ground.disk.tempfile.mkdtemp", refuse)
        with pytest.raises((OSError, ReaderUnavailable)) as told:
            reader.read_ecg(ecg.wfdb())
        assert isinstance(told.value, ReaderUnavailable) or told.value.errno in NO_ROOM_TO_READ
        broken.undo()
        assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0


@pytest.mark.parametrize("times", [1, 1000])
def test_a_request_whose_folder_is_tidied_away_is_read_in_another(ecg, temporary, monkeypatch, times):
    ask, left = _Child.ask, [times]

    def tidied(child, header, blocks):
        if left[0]:
            left[0] -= 1
            shutil.rmtree(header["folder"])
        return ask(child, header, blocks)

    monkeypatch.setattr(_Child, "ask", tidied)
    with GuardedReader() as reader:
        if times == 1:
            assert reader.read_ecg(ecg.wfdb()).rate_hz == 500.0
        else:
            with pytest.raises(OSError) as told:  # noqa: PT011 - its number is looked at
                reader.read_ecg(ecg.wfdb())
            assert told.value.errno in NO_ROOM_TO_READ


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EPERM, errno.EMFILE])
def test_a_parser_without_a_folder_says_nothing_about_the_file(ecg, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(wfdb.tempfile, "mkdtemp", refuse)
    with pytest.raises(OSError) as told:  # noqa: PT011 - its number is looked at
        read_ecg(ecg.wfdb())
    assert told.value.errno in NO_ROOM_TO_READ


@pytest.mark.filterwarnings("ignore")  # wfdb is imported with calls that pandas deprecates
def test_a_file_that_vanishes_while_it_is_parsed_is_not_called_damaged(ecg, temporary, monkeypatch):
    import wfdb as parser

    read = parser.rdrecord

    def tidied(path, **options):
        shutil.rmtree(Path(path).parent)
        return read(path, **options)

    monkeypatch.setattr(parser, "rdrecord", tidied)
    with pytest.raises(OSError) as told:  # noqa: PT011 - its number is looked at
        read_ecg(ecg.wfdb())
    assert told.value.errno in NO_ROOM_TO_READ
