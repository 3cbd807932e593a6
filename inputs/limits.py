"""Every limit on what is uploaded and on files that are read, once: nothing larger is opened, unpacked or allocated.

What a recording must be to be prepared (its rate, its length in seconds) is `inputs.ecg.quality`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass

# Any file that is opened.
MAX_FILE_BYTES = 4 << 30
MAX_ARRAY_FILE_BYTES = 1 << 40
"""Of an array of many ECGs, of which one row at a time is read."""

# The parts of an upload, and a zip of them.
MAX_UPLOAD_PARTS = 64
MAX_ZIP_ENTRIES = 32
MAX_ZIP_LISTED = 1000
"""Folders and what file managers add included."""
MAX_UNZIPPED_BYTES = 64 * 2**20
FREELY_UNZIPPED_BYTES = 8 * 2**20
MAX_UNZIPPED_RATIO = 100
"""Of what a file unpacks to beyond the free bytes: a table of numbers comes to 10, a recorded signal to 4."""

# One ECG, in whatever format.
MAX_ECG_FILE_BYTES = 64 * 2**20
MAX_CHANNELS = 64
MAX_VALUES = 4_000_000
"""Twelve leads of five minutes at 1000 Hz. Several such answers of reading children lie with a service at a time."""
MAX_SAMPLES = 600_000
"""Per lead: ten minutes at 1000 Hz. A resting ECG is 10 s; this is no reader for Holter recordings."""

# What single ECG formats hold besides.
MAX_TABLE_COLUMNS = 4 * MAX_CHANNELS
MAX_TABLE_CELLS = 2 * MAX_VALUES
MAX_TABLE_LINES = 2 * MAX_SAMPLES + 1000
"""Comments and blank lines included: a blank one after each row is what a wrong line end makes."""
MAX_TABLE_LINE_LETTERS = 64 * 1024
MAX_SEARCHED_BYTES = 64 * 1024
"""How far a text is searched for its first lines that are neither blank nor comments, to tell what it is."""
MAX_INFLATED_DICOM_BYTES = 64 * 2**20
MAX_DICOM_READS = 100_000
"""Of pydicom, before any image: some 30,000 elements. A 12-lead ECG with its annotations has a few thousand."""
MAX_WFDB_HEADER_BYTES = 256 * 1024
MAX_WFDB_SEGMENTS = 64
MAX_WFDB_SEGMENT_BYTES = 4 * MAX_UNZIPPED_BYTES
"""Of the files of all segments; one that several name counts for each."""
MAX_WFDB_SAMPLES_PER_FRAME = 64

MAX_XML_DEPTH = 64
MAX_XML_ELEMENTS = 200_000
"""An aECG that annotates every beat in every lead has a few thousand."""
MAX_XML_BYTES = 32 * 2**20
"""Of text, in UTF-8."""
MAX_SAID_LETTERS = 200
MAX_SAID_LINES = 32
"""Of what an electrocardiograph wrote: letters of one text, and statements or filters."""

# One echo clip, in whatever format.
MAX_SIDE_PX = 4096
MAX_FRAMES = 10_000
MAX_DECODED_BYTES = 3 << 29
"""Held once, and with room for a decoder, it fits in `ChildLimits.memory_bytes`."""

MAX_METAIMAGE_HEADER_BYTES = 64 * 1024

# Echo studies in a folder or a zip.
MAX_STUDY_FILES = 100_000
"""Of one folder with all below it: years of an archive are several folders."""
MAX_STUDY_DEPTH = 16
MAX_UNZIPPED_STUDY_BYTES = 64 << 30

# The files that a cohort folder itself is made of.
MAX_COHORT_TABLE_BYTES = 1 << 30
"""Of a table's file, and of what the columns of a Parquet file come to when unpacked."""
MAX_COHORT_ROWS = 5_000_000
MAX_COHORT_CELLS = 200_000_000
"""All columns of a CSV count, of a Parquet file those that are read."""
MAX_COHORT_VIEWS = 20_000_000
"""Of the table of view vectors, which are read in pieces."""
MAX_COHORT_VIEW_BYTES = 256 << 30
MAX_COHORT_HEADER_BYTES = 64 * 1024
MAX_COHORT_ABOUT_BYTES = 2**20
"""Of `cohort.json`."""
MAX_COHORT_ROOTS = 16

# What passes between a service and its reading child.
MAX_MESSAGE_HEADER_BYTES = 64 * 1024
MAX_REQUEST_WORDS_BYTES = 60 * 1024
"""Of the names and parameters in the header of a request, where the sizes of its blocks need room too."""
MAX_MESSAGE_BODY_BYTES = 2 * 2**30
MAX_ECG_ANSWER_BYTES = 64 * 2**20
"""The largest ECG that a child may answer with; clips may be as large as a body."""
MAX_MESSAGE_BLOCKS = MAX_UPLOAD_PARTS
"""Blocks of bytes after the header of a message: one for each part of an upload."""
MAX_WARNINGS = 64
MAX_SENTENCE_LETTERS = 400


@dataclass(frozen=True)
class ChildLimits:
    """What one request may take of the machine while a reading child works on it."""

    memory_bytes: int = 7 * 2**28
    """Address space beyond what the parsers' own code takes."""
    cpu_s: int = 10
    wall_s: float = 10.0
    file_bytes: int = 64 * 2**20
    """Largest file a child may write."""
    open_files: int = 64
    files_per_child: int = 500
    """A child is replaced after so many files, so that leaks of parsers do not add up."""
    start_s: float = 30.0
    """How long a child may take to import its parsers."""
