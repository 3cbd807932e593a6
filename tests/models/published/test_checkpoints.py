"""Checkpoints of other people: read without running them, or refused in one sentence that says why."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from published_files import configuration, save, save_component

from models.published import checkpoints as pretrained_files
from models.published.checkpoints import CheckpointError, read_checkpoint, state_dict

WEIGHTS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2, dtype=torch.float16)}


class Calls:
    """Pickles as a call of anything: what a hostile file is made of."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call  # type: ignore[return-value]


def refusal(file: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(file)
    assert str(file.parent) not in str(caught.value)
    return str(caught.value)


def zipped(
    file: Path, data: bytes, *, name: str = "a/data.pkl", more: tuple[tuple[str, bytes], ...] = (), kind: int = 0
):
    with zipfile.ZipFile(file, "w", kind) as archive:
        archive.writestr(name, data)
        archive.writestr("a/version", "3\n")
        for member, content in more:
            archive.writestr(member, content)
    return file


def tensor_pickle(numbers: int, size: int, stride: int) -> bytes:
    """{'w': a tensor of `size` numbers over a storage said to hold `numbers`}, opcode by opcode."""

    def word(text: str) -> bytes:
        return b"X" + struct.pack("<I", len(text)) + text.encode()

    def integer(number: int) -> bytes:
        return b"\x8a\x08" + number.to_bytes(8, "little", signed=True)

    storage = b"(" + word("storage") + b"ctorch\nFloatStorage\n" + word("0") + word("cpu") + integer(numbers) + b"tQ"
    shape = integer(0) + b"(" + integer(size) + b"t(" + integer(stride) + b"t\x89ccollections\nOrderedDict\n)R"
    return b"\x80\x02}" + word("w") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + shape + b"tRs."


def test_a_published_file_is_read_without_the_library_of_its_configuration(tmp_path):
    file = save_component(WEIGHTS, tmp_path / "a.ckpt")
    content, sha256 = read_checkpoint(file)
    assert len(sha256) == 64
    assert content["epoch"] == 49
    weights = state_dict(content, file.name, "model")
    assert all(torch.equal(weights[key], tensor) for key, tensor in WEIGHTS.items())
    assert not any(name.startswith("omegaconf") for name in sys.modules)


def test_the_configuration_is_an_inert_stand_in(tmp_path):
    content, _ = read_checkpoint(save_component(WEIGHTS, tmp_path / "a.ckpt"))
    assert type(content["cfg"]) is pretrained_files.Inert
    assert vars(content["cfg"]) == {}


def test_torch_refuses_the_same_file_where_its_classes_are_not_allowed(tmp_path):
    file = save_component(WEIGHTS, tmp_path / "a.ckpt")
    read_checkpoint(file)
    with pytest.raises(pickle.UnpicklingError, match="omegaconf"):
        torch.load(file, weights_only=True)


FORMATS = ("zip", "zip of protocol 4", "legacy", "plain pickle", "plain pickle of protocol 4", "tar")


def hostile(form: str, marker: Path, file: Path) -> Path:
    """A file in some format whose loading would create `marker`."""
    bad = {"model": WEIGHTS, "cfg": Calls(os.system, f"touch {marker}")}
    if form == "zip":
        torch.save(bad, file)
    elif form == "zip of protocol 4":
        torch.save(bad, file, pickle_protocol=4)
    elif form == "legacy":
        torch.save(bad, file, _use_new_zipfile_serialization=False)
    elif form == "tar":
        data = pickle.dumps(Calls(os.system, f"touch {marker}"), protocol=2)
        with tarfile.open(file, "w") as archive:
            for name in ("pickle", "tensors", "storages"):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    else:
        file.write_bytes(pickle.dumps(bad["cfg"], protocol=4 if form.endswith("4") else 2))
    return file


@pytest.mark.parametrize("form", FORMATS)
def test_no_code_in_a_file_runs_whatever_its_format(tmp_path, form):
    marker = tmp_path / "the code ran".replace(" ", "_")
    file = hostile(form, marker, tmp_path / "bad.ckpt")
    sentence = refusal(file)
    assert not marker.exists()
    assert "bad.ckpt" in sentence
    if form != "tar":
        assert "posix.system" in sentence
    with contextlib.suppress(Exception), pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        torch.load(file, weights_only=False)
    assert marker.exists(), "this file would not have shown anything"


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("builtins.eval", eval),
        ("builtins.getattr", getattr),
        ("builtins.bytearray", bytearray),
        ("subprocess.Popen", subprocess.Popen),
        ("torch._tensor._rebuild_from_type_v2", torch._tensor._rebuild_from_type_v2),
    ],
)
def test_a_pickle_that_wants_anything_else_is_refused_by_its_name(tmp_path, name, function):
    assert f"wants {name}," in refusal(save({"model": WEIGHTS, "x": Calls(function, "1")}, tmp_path / "a.ckpt"))


def test_nothing_is_loaded_before_the_whole_pickle_was_looked_at(tmp_path, monkeypatch):
    file = save({"model": WEIGHTS, "x": Calls(os.getcwd)}, tmp_path / "a.ckpt")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    refusal(file)


@pytest.mark.parametrize(
    ("numbers", "size", "stride"),
    [(10**10, 10**10, 1), (4, 10**9, 1), (0, 10**9, 1), (-4, 2, 1), (4, 10**9, 0)],
    ids=["more than the file", "more than the storage", "of an empty storage", "negative", "one number over and over"],
)
def test_a_tensor_cannot_claim_more_numbers_than_the_file_holds(tmp_path, numbers, size, stride):
    file = zipped(tmp_path / "a.pt", tensor_pickle(numbers, size, stride), more=(("a/data/0", bytes(16)),))
    with pytest.raises(CheckpointError, match=r"a\.pt"):
        state_dict(read_checkpoint(file)[0], file.name)


def test_the_same_tensor_with_true_claims_is_read(tmp_path):
    file = zipped(tmp_path / "a.pt", tensor_pickle(4, 4, 1), more=(("a/data/0", struct.pack("<4f", 1, 2, 3, 4)),))
    assert state_dict(read_checkpoint(file)[0], file.name)["w"].tolist() == [1, 2, 3, 4]


def test_zip_files_that_torch_does_not_write_are_refused(tmp_path):
    empty = b"\x80\x02}."
    assert "unpacks to more" in refusal(zipped(tmp_path / "a.pt", empty + bytes(10**6), kind=zipfile.ZIP_DEFLATED))
    assert "not one that torch.save() writes" in refusal(
        zipped(tmp_path / "b.pt", empty, more=(("b/data.pkl", empty),))
    )
    assert "not one that torch.save() writes" in refusal(zipped(tmp_path / "c.pt", empty, name="a/weights.pkl"))
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped(tmp_path / "d.pt", empty, more=(("a/data/0", b"1"), ("a/data/0", b"2")))
    assert "not one that torch.save() writes" in refusal(twice)


def test_limits_are_kept(tmp_path, monkeypatch):
    file = save_component(WEIGHTS, tmp_path / "a.ckpt")
    monkeypatch.setattr(pretrained_files, "MAX_PICKLE_BYTES", 100)
    assert "The pickle in a.ckpt is larger" in refusal(file)
    monkeypatch.setattr(pretrained_files, "MAX_FILE_BYTES", 100)
    assert "a.ckpt is larger" in refusal(file)


def refusal_and_hint(file: Path) -> tuple[str, str]:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(file)
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize("lost", [10, 100, 2000])
def test_a_zip_file_cut_short_is_said_to_be_cut_short_and_to_be_downloaded_again(tmp_path, lost):
    file = save_component(WEIGHTS, tmp_path / "a.ckpt")
    file.write_bytes(file.read_bytes()[:-lost])
    assert refusal_and_hint(file) == (
        "a.ckpt is cut short: the directory at its end is missing.",
        "Download it again.",
    )


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "a.ckpt").touch()
    assert refusal_and_hint(tmp_path / "a.ckpt") == ("a.ckpt is empty.", "Download it again.")


def test_a_single_changed_bit_of_a_tensor_is_found(tmp_path):
    file = save(WEIGHTS, tmp_path / "a.ckpt")
    data, numbers = bytearray(file.read_bytes()), WEIGHTS["weight"].numpy().tobytes()
    data[data.index(numbers) + 6] ^= 0x10
    file.write_bytes(data)
    assert not torch.equal(torch.load(file)["weight"], WEIGHTS["weight"]), "torch takes it without a word"
    sentence, hint = refusal_and_hint(file)
    assert sentence.startswith("a.ckpt is damaged")
    assert "checksums" in sentence
    assert hint == "Download it again."


def test_a_file_that_torch_wrote_without_checksums_is_read(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        file = save_component(WEIGHTS, tmp_path / "a.ckpt")
    finally:
        torch.serialization.set_crc32_options(before)
    with zipfile.ZipFile(file) as archive:
        assert {member.CRC for member in archive.infolist()} == {0}
    weights = state_dict(read_checkpoint(file)[0], file.name, "model")
    assert torch.equal(weights["weight"], WEIGHTS["weight"])


def test_a_damaged_pickle_is_refused_wherever_the_damage_is(tmp_path):
    with configuration() as cfg:
        whole = save({"model": WEIGHTS, "cfg": cfg}, tmp_path / "a.ckpt")
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != "a/version"}
    data = members.pop("a/data.pkl")
    refused = 0
    for place in range(2, len(data), 7):
        hurt = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        file = zipped(tmp_path / "hurt.ckpt", hurt, more=tuple(members.items()))
        try:
            state_dict(read_checkpoint(file)[0], file.name, "model")
        except CheckpointError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("content", [b"P", b"import os\nos.getcwd()\n", b"RIFF....AVI ", b"<!DOCTYPE html>\n"])
def test_what_is_no_checkpoint_at_all_is_said_so_without_advice_to_load_it(tmp_path, content):
    (tmp_path / "a.ckpt").write_bytes(content)
    assert refusal_and_hint(tmp_path / "a.ckpt") == ("a.ckpt is not in torch's zip format.", "")


def test_a_harmless_file_in_the_old_format_is_refused_with_what_would_help(tmp_path):
    torch.save({"model": WEIGHTS}, tmp_path / "a.ckpt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="not in torch's zip format") as caught:
        read_checkpoint(tmp_path / "a.ckpt")
    assert "torch.save()" in caught.value.hint


def test_a_pickle_in_front_of_a_zip_file_is_refused(tmp_path):
    file = save_component(WEIGHTS, tmp_path / "a.ckpt")
    file.write_bytes(pickle.dumps(Calls(os.getcwd), protocol=2) + file.read_bytes())
    refusal(file)


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "nothing"):
        assert refusal(tmp_path / name) == f"{name} is not a file."


@pytest.mark.parametrize(
    "content", [[], {}, {"model": 3}, {"model": {}}, {"model": {1: torch.ones(1)}}, {"model": {"a": 1}}]
)
def test_what_is_no_state_dict_is_said_so(content):
    with pytest.raises(CheckpointError, match=r"'model' of a\.ckpt"):
        state_dict(content, "a.ckpt", "model")
