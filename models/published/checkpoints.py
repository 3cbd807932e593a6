"""Reading checkpoints that other people saved, without running anything in them.

A checkpoint is a pickle, and a pickle is a program. Three fences stand around it: only torch's zip format with plain
stored members is opened (so a file never unpacks to more than it is); every name its pickle asks for must be on the
short list below; and torch's own weights-only loader then follows the same list. Configuration objects that lie beside
the weights become inert stand-ins, so their libraries need not be installed. What the weights mean is
`models/published/components.py`'s business.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from ground.disk import sha256_of_open
from ground.errors import Refusal

MAX_FILE_BYTES = 4 << 30
MAX_PICKLE_BYTES = 16 << 20
MAX_MEMBERS = 20_000

_ZIP_START = b"PK\x03\x04"
_PICKLE_STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_READ_BYTES = 1 << 20
_AGAIN = "Download it again."


class CheckpointError(Refusal):
    """A checkpoint is not what its place asks for, or asks for what no weights need. Names the file, never its path."""


class Inert:
    """Stands in for a class beside the weights: takes any arguments and any state, and does nothing with them."""

    def __new__(cls, *_: object) -> Inert:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Pickles set state; nobody reads it."""


_INERT = (
    "argparse.Namespace",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "typing.Any",
)
_PLAIN = {"builtins.dict": dict, "builtins.list": list, "builtins.int": int, "collections.defaultdict": defaultdict}
_WEIGHTS = {
    "collections.OrderedDict",
    "torch.Size",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor_v2",
    *(
        f"torch.{kind}Storage"
        for kind in ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")
    ),
}
_ALLOWED = {*_INERT, *_PLAIN, *_WEIGHTS}


def read_checkpoint(file: Path, most_bytes: int = MAX_FILE_BYTES) -> tuple[object, str]:
    """What torch.save was given, its tensors mapped from the file (on the CPU), and the file's sha256.

    CheckpointError when the file is not in torch's zip format, is damaged, or wants anything but weights and the
    configuration objects of the published files; that thing is named.
    """
    if not file.is_file():
        raise CheckpointError("no_checkpoint", f"{file.name} is not a file.")
    if file.stat().st_size > most_bytes:
        raise CheckpointError("too_large", f"{file.name} is larger than {most_bytes >> 30} GiB.")
    with file.open("rb") as stream:
        sha256 = sha256_of_open(stream)
        is_zip = zipfile.is_zipfile(stream)
        stream.seek(0)
        pickled = _pickle_of(stream, file.name) if is_zip else stream.read(MAX_PICKLE_BYTES)
    if not is_zip and (not pickled or pickled.startswith(_ZIP_START)):
        raise CheckpointError(
            "damaged_checkpoint",
            f"{file.name} is {'cut short: the directory at its end is missing' if pickled else 'empty'}.",
            hint=_AGAIN,
        )
    unwanted = _first_unwanted(io.BytesIO(pickled))
    if unwanted is not None:
        raise CheckpointError(
            "unsafe_checkpoint", f"{file.name} wants {unwanted}, which no weights need; it was not loaded."
        )
    if not is_zip:
        raise CheckpointError(
            "not_a_checkpoint",
            f"{file.name} is not in torch's zip format.",
            hint="Where it is trusted, load it and torch.save() it again."
            if pickled.startswith(_PICKLE_STARTS)
            else "",
        )
    stand_ins: list[Any] = [(Inert, name) for name in _INERT] + [(kind, name) for name, kind in _PLAIN.items()]
    try:
        with torch.serialization.safe_globals(stand_ins):
            # Mapped tensors cannot be made to claim more memory than the file holds.
            return torch.load(str(file), map_location="cpu", weights_only=True, mmap=True), sha256
    except Exception as error:  # a damaged pickle fails in as many ways as there are opcodes
        raise CheckpointError(
            "damaged_checkpoint", f"{file.name} is damaged, or not as torch.save() writes it."
        ) from error


def state_dict(content: object, file_name: str, where: str = "") -> dict[str, Tensor]:
    """The tensors by name of a state dict, checked to be ordinary and to fit into their storage; no copy.

    where: the entry of `content` that holds it, or empty for `content` itself.
    """
    place = f"'{where}' of {file_name} is missing or" if where else file_name
    tensors = content.get(where) if where and isinstance(content, dict) else None if where else content
    if not isinstance(tensors, dict) or not tensors:
        raise CheckpointError("no_state_dict", f"{place} is no state dict.")
    for key, tensor in tensors.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise CheckpointError("no_state_dict", f"{place} is no state dict: it holds more than named tensors.")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError("damaged_checkpoint", f"{key} of {file_name} claims more numbers than it has.")
    return {key: tensor.detach() for key, tensor in tensors.items()}


def _pickle_of(stream: IO[bytes], name: str) -> bytes:
    """The pickle inside torch's zip file, after every member was read once and agreed with its checksum.

    CheckpointError when the zip is damaged, or not one that torch writes.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            pickles = [member for member in members if member.filename.rpartition("/")[2] == "data.pkl"]
            total = sum(member.file_size for member in members)
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            if len(pickles) != 1 or len(names) != len(set(names)) or len(names) > MAX_MEMBERS:
                raise CheckpointError(
                    "not_a_checkpoint", f"{name} is a zip file, but not one that torch.save() writes."
                )
            if not stored or total > stream.seek(0, io.SEEK_END):
                raise CheckpointError(
                    "not_a_checkpoint", f"{name} unpacks to more than it is; torch.save() never does."
                )
            if pickles[0].file_size > MAX_PICKLE_BYTES:
                raise CheckpointError("too_large", f"The pickle in {name} is larger than {MAX_PICKLE_BYTES >> 20} MiB.")
            for member in members:
                if member.CRC == 0:  # torch writes no others where it was told to compute none
                    del member.CRC
                if member is not pickles[0]:
                    with archive.open(member) as content:
                        while content.read(_READ_BYTES):
                            pass  # the end compares the checksum, which torch's own reader never does
            return archive.read(pickles[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(
            "damaged_checkpoint",
            f"{name} is damaged: its content does not agree with its zip directory and checksums.",
            hint=_AGAIN,
        ) from error


def _first_unwanted(stream: io.BytesIO) -> str | None:
    """The first name off the list that a row of pickles asks for, found by reading, not by running, them."""
    try:
        name = next((name for name in _imports(stream) if name not in _ALLOWED), "")
    except (ValueError, IndexError, OverflowError):
        return None  # no pickle from here on: the loader will say so
    return name if name.replace(".", "_").isidentifier() else None  # bytes that only look like a pickle


def _imports(stream: io.BytesIO) -> Iterator[str]:
    end = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    while stream.tell() < end:
        words: list[str] = []
        memo: list[str] = []
        word = ""
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "MEMOIZE":
                memo.append(word)
                continue
            word = argument if isinstance(argument, str) else ""
            if opcode.name in ("BINGET", "LONG_BINGET") and isinstance(argument, int) and argument < len(memo):
                word = memo[argument]
            if opcode.name in ("GLOBAL", "INST"):
                yield _as_python_3(word)
            elif opcode.name == "STACK_GLOBAL":
                yield ".".join(words[-2:])  # for the sentence only: torch's loader knows no such opcode
            elif opcode.name in ("EXT1", "EXT2", "EXT4"):
                yield f"extension_{argument}"
            elif word:
                words.append(word)


def _as_python_3(module_and_name: str) -> str:
    """The dotted name; protocol 2, which torch writes, spells Python's own as Python 2 did, and loaders map it back."""
    module, _, name = module_and_name.partition(" ")
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"
