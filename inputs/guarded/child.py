"""The reading child: `python -m inputs.guarded.child`, started by the reader with pipes on stdin and stdout.

It imports the parsers, puts limits on itself, and answers one request at a time until its stdin closes.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from ground.hang_up import end_when_hung_up
from inputs.ecg.read import read_ecg
from inputs.ecg.rows import cut_row
from inputs.errors import NO_ROOM_TO_READ, InputError
from inputs.guarded.messages import (
    TAKEN,
    Block,
    Message,
    pack_clip,
    pack_error,
    pack_no_space,
    pack_recording,
    pack_row,
    read_message,
    write_message,
)
from inputs.opened import PlacedFile
from inputs.records import ReadHints, UploadedFile

BEHIND_THE_SERVICE = 5
"""Added to a child's niceness: on a busy core the event loop comes first."""


def main() -> int:
    # Parsers print; only this module may write to the pipe, and nothing may reach a log.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.nice(BEHIND_THE_SERVICE)  # imports included
    limits, _ = read_message(requests)
    import wfdb  # noqa: F401  (the slowest import, made before the first request)

    end_when_hung_up(requests.fileno())
    _limit_process(limits)
    write_message(answers, {"kind": "ready"})
    while True:
        try:
            request = read_message(requests)
        except EOFError:
            return 0
        write_message(answers, TAKEN)  # from here on it is the file's fault if this process ends
        _limit_cpu(limits["cpu_s"])
        write_message(answers, *_answer(request))


def _answer(request: Message) -> tuple[dict[str, Any], list[Block]]:
    """The recording, clip or row, or why there is none. Other exceptions, out of memory for one, end this process."""
    header, blocks = request
    try:
        if header["kind"] == "echo":
            from inputs.echo.read import read_echo

            return pack_clip(read_echo(_file(header), max_frames=header["max_frames"], every=header["every"]))
        if header["kind"] == "stack":
            from inputs.echo.stacks import read_stack

            return pack_clip(read_stack(_file(header)))
        if header["kind"] == "row":
            return pack_row(cut_row(_file(header), header["row"], header["dataset"]))
        tempfile.tempdir = header["folder"]
        blocks.reverse()  # taken from the end, so that no part is held twice
        files = [UploadedFile(name, bytes(blocks.pop())) for name in header["names"]]
        return pack_recording(read_ecg(files, _hints(header["options"])))
    except InputError as error:
        return pack_error(error), []
    except OSError as error:
        if error.errno not in NO_ROOM_TO_READ:
            raise
        return pack_no_space(error), []


def _file(header: dict[str, Any]) -> PlacedFile:
    return PlacedFile(Path(header["path"]), tuple(map(Path, header["under"])))


def _hints(options: dict[str, Any]) -> ReadHints:
    leads = options["leads"]
    return ReadHints(**{**options, "leads": None if leads is None else tuple(leads)})


def _limit_process(limits: dict[str, Any]) -> None:
    """Limits for good. Memory counts from what the imports already took."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + limits["memory_bytes"]
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CORE, 0),  # a core dump would hold the upload
    ):
        allowed = _within_hard_limit(kind, value)
        resource.setrlimit(kind, (allowed, allowed))


def _limit_cpu(seconds: int) -> None:
    """RLIMIT_CPU counts from the start of the process, so each request moves it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (_within_hard_limit(resource.RLIMIT_CPU, soft), hard))


def _within_hard_limit(kind: int, value: int) -> int:
    """What the host already limits stays limited: nobody but root may raise it."""
    hard = resource.getrlimit(kind)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


if __name__ == "__main__":
    sys.exit(main())
