"""The fuzzing itself: its seeds are whole, its changes get past checksums, and its judge finds what it looks for."""

from __future__ import annotations

import random
import zlib

import fuzz_echo
import fuzz_judge
import fuzz_mutations
import fuzz_readers
import fuzz_seeds
import numpy as np
import pytest

from inputs.ecg.formats import FORMATS
from inputs.ecg.read import read_ecg
from inputs.errors import InputError, UnreadableFile
from inputs.records import EcgRecording, InputWarning

NAMES = [ecg_format.name for ecg_format in FORMATS]


def plain(data: bytes, most: int) -> bytes:
    """Instead of the fuzzer's own change: a byte in the middle."""
    place = len(data) // 2
    return (data[:place] + b"\x7f" + data[place + 1 :])[:most]


def readings(data: bytes) -> list[EcgRecording]:
    found = []
    for hints in fuzz_seeds.HINTS:
        try:
            found.append(read_ecg(fuzz_seeds.files_of(data), hints))
        except InputError:
            continue
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_format_has_a_seed_that_is_read_as_that_format_with_some_hints(name):
    first = fuzz_seeds.seeds_of(name)[0]
    assert {recording.source_format for recording in readings(first)} == {name}


@pytest.mark.parametrize("name", NAMES)
def test_no_seed_is_a_finding_and_changed_ones_are_judged(name):
    draw = random.Random(5)
    kinds = set()
    for seed in fuzz_seeds.seeds_of(name)[:3]:
        assert fuzz_judge.judged(name, seed).kind in ("answered", "refused")
        for _ in range(5):
            kinds.add(fuzz_judge.judged(name, fuzz_mutations.mutated(name, seed, 1 << 16, draw, plain)).kind)
    assert kinds <= {"answered", "refused", "last_resort", "elsewhere", "below"}


@pytest.mark.parametrize("name", fuzz_echo.SEEDS)
def test_every_seed_of_an_echo_target_is_read_and_changed_ones_are_judged(name):
    draw = random.Random(5)
    kinds = set()
    for seed in fuzz_echo.SEEDS[name]():
        assert fuzz_judge.judged(name, seed).kind == "answered"
        for _ in range(5):
            changed = fuzz_mutations.mutated(name, seed, 1 << 16, draw, plain)
            kinds.add(fuzz_judge.judged(name, changed).kind)
    assert kinds <= {"answered", "refused", "last_resort", "elsewhere"}


@pytest.mark.parametrize(("name", "at"), [("scp", -3), ("muse", None), ("wfdb", -3), ("ishne", 275)])
def test_a_changed_sample_or_field_has_its_checksum_put_right(name, at):
    seed = fuzz_seeds.seeds_of(name)[0]
    if at is None:
        changed = seed.replace(b"AAAA", b"AQAA", 1) if b"AAAA" in seed else seed.replace(b"Data>\n", b"Data>\nAQAA", 1)
    else:
        changed = seed[:at] + bytes([seed[at] ^ 1]) + seed[at:][1:]
    assert changed != seed
    right = fuzz_mutations.put_right(name, changed)
    assert right != changed
    assert fuzz_mutations.put_right(name, right) == right
    assert fuzz_mutations.put_right(name, seed) == seed


@pytest.mark.parametrize("name", [*NAMES, *fuzz_echo.SEEDS, "zip", "xml", "leads"])
def test_changes_take_any_bytes_and_keep_to_the_size(name):
    draw = random.Random(7)
    for data in (b"", b"\0", b"<", b"1e999 " * 40, b"\xff" * 300, draw.randbytes(500)):
        for _ in range(20):
            assert len(fuzz_mutations.mutated(name, data, 600, draw, plain)) <= 600


def test_errors_of_parsers_absurd_answers_and_names_in_sentences_are_told_apart(monkeypatch):
    seed = fuzz_seeds.seeds_of("npy")[0]
    good = EcgRecording(np.zeros((1, 9), np.float32), 500.0, ("I",), "npy")
    infinite = EcgRecording(np.full((1, 9), np.inf, np.float32), 500.0, ("I",), "npy")
    named = EcgRecording(good.signal_mv, 500.0, ("I",), "npy", (InputWarning("odd", "Of Family."),))

    def raising(error: Exception):
        def read(*_: object) -> EcgRecording:
            raise error

        return read

    def verdict(read) -> str:
        monkeypatch.setattr(fuzz_judge, "read_ecg", read)
        return fuzz_judge.judged("npy", seed).kind

    assert verdict(lambda *_: good) == "answered"
    assert verdict(raising(UnreadableFile("truncated", "It is cut off."))) == "refused"
    for read in (
        lambda *_: infinite,
        lambda *_: named,
        lambda *_: EcgRecording(good.signal_mv, 500.0, ("X9",), "npy"),
        raising(UnreadableFile("truncated", "no sentence")),
        raising(KeyError("x")),
        raising(MemoryError()),
    ):
        assert verdict(read) == "finding"


def test_the_last_resort_is_known_by_what_it_hides():
    def read(*_: object) -> EcgRecording:
        raise ZeroDivisionError

    broken = fuzz_judge._FORMATS["npy"].__class__("npy", lambda _: True, read, states_itself=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inputs.ecg.parts.FORMATS", (broken,))
        verdict = fuzz_judge._of_format(broken, b"x")
    assert verdict.kind == "last_resort"
    assert verdict.what.startswith("ZeroDivisionError")


def test_the_tally_keeps_the_smallest_input_of_each_place(tmp_path):
    tally = fuzz_readers.Tally(tmp_path)
    for data in (b"long", b"s", b"longer"):
        tally.add("finding", "KeyError at x.py:1", data)
    tally.write()
    (kept,) = tmp_path.glob("*.bin")
    assert kept.read_bytes() == b"s"
    assert fuzz_readers.file_of("finding: KeyError at x.py:1") == kept.name


def test_the_hints_of_an_input_are_always_the_same():
    assert {fuzz_seeds.hints_of(b"a") is fuzz_seeds.HINTS[zlib.crc32(b"a") % len(fuzz_seeds.HINTS)]} == {True}
