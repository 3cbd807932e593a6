"""Reads one cine loop from a file: DICOM ultrasound multi-frame, AVI or MP4, told apart by content and never by name.

Reading only: nothing is cropped, scaled or judged (`inputs.echo.prepare`), and nothing that names a patient is kept.
"""

from __future__ import annotations

from inputs.echo.formats import FORMATS
from inputs.echo.formats.base import START_BYTES
from inputs.echo.kinds import no_clip
from inputs.echo.prepared_clip import is_prepared, read_prepared
from inputs.errors import UnreadableFile
from inputs.opened import File, open_regular_file
from inputs.records import EchoClip


def read_echo(path: File, *, max_frames: int | None = None, every: int = 1) -> EchoClip:
    """Read a clip, or its first `max_frames` frames, or every `every`-th of these.

    Nothing else is decoded, but by video codecs whose frames need the ones before them. A clip that was prepared before
    it was written (`inputs.echo.prepared_clip`) has its chosen frames alone, and all are read.

    Only a regular file is opened (`inputs.opened`). Raises UnreadableFile for anything that is not a whole clip of at
    least two frames; its message holds no path and nothing from the header.
    """
    if max_frames is not None and max_frames < 2:
        raise ValueError("max_frames must be at least 2")
    if every < 1:
        raise ValueError("every must be at least 1")
    with open_regular_file(path) as file:
        start = file.read(START_BYTES)
        if is_prepared(start):
            return read_prepared(file)
        for echo_format in FORMATS:
            if echo_format.recognises(start):
                return echo_format.read(file, max_frames, every)
    raise no_clip(start) or UnreadableFile(
        "not_an_echo_clip", "This file is not a DICOM, AVI or MP4 clip.", hint="Send an ultrasound cine loop."
    )
