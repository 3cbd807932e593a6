"""Generations: written whole or not at all, verified to the last bit, one writer at a time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from index.base import IndexBusy, IndexDamaged, IndexMismatch, IndexMissing
from index.catalogue import CataloguedView, StudyCard
from index.store import IndexStore

DIM = 8
ROOT = Path(__file__).resolve().parents[2]
BUNDLE = {"bundle_id": "demo", "bundle_sha256": "a" * 64}


def write_generation(root, *, seed, count=60, bundle=BUNDLE, on_step=lambda name: None):
    """A small generation whose every card says which seed it came from."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    with IndexStore(root, on_step=on_step).write(**bundle, dim=DIM, build={"seed": seed}) as writer:
        for row, vector in enumerate(vectors):
            card = StudyCard(
                row_id=row,
                study_id=f"seed{seed}-{row}",
                patient_id=f"p{row % 7}",
                acquired_at=datetime(2020, 1, 1),  # noqa: DTZ001
                age=50.0,
                sex=None,
                lvef_percent=None,
                lvedv_ml=None,
                lvesv_ml=None,
                flags={},
                shd=None,
                views=(CataloguedView("v0", None, 1.0),),
            )
            writer.add(card, vector, {"v0": b"jpeg"})
        writer.add_file("report.json", b"{}\n")
    return writer.generation_id


def answers(generation):
    """Ten fixed queries: the study ids found and their similarities."""
    queries = np.random.default_rng(99).standard_normal((10, DIM)).astype(np.float32)
    hits = generation.index.search(queries, 5)
    return [[c.study_id for c in generation.catalogue.cards(row)] for row in hits.ids_BK], hits.similarity_BK.tolist()


def golden(tmp_path_factory, seed):
    root = tmp_path_factory.mktemp("golden")
    write_generation(root, seed=seed)
    return answers(IndexStore(root).open_current())


def copy_of(root, to):
    shutil.copytree(root, to)
    return to


@pytest.fixture(scope="module")
def two_generations(tmp_path_factory):
    root = tmp_path_factory.mktemp("two")
    write_generation(root, seed=1)
    write_generation(root, seed=2)
    return root


def test_an_empty_or_absent_folder_has_no_index(tmp_path):
    for root in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(IndexMissing, match="no index yet"):
            IndexStore(root).open_current()
        assert IndexStore(root).current_id() is None
        assert IndexStore(root).verify() == []


def test_a_written_generation_is_served_with_a_manifest_that_describes_it(tmp_path):
    assert write_generation(tmp_path, seed=1) == "000001"
    generation = IndexStore(tmp_path).open_current("a" * 64)
    manifest = generation.manifest
    assert (manifest.bundle_id, manifest.dim, manifest.count, manifest.metric) == ("demo", DIM, 60, "inner_product")
    assert manifest.build == {"seed": 1}
    assert (manifest.recall_at_10, manifest.recall_queries) == (1.0, 64)
    assert set(manifest.files) == {"index.faiss", "catalogue.sqlite", "report.json"}
    assert generation.degraded is None
    assert generation.catalogue.card("seed1-0").row_id == 0


def test_the_recall_in_the_manifest_is_measured_on_the_written_file(tmp_path, monkeypatch):
    from index import generation
    from index.base import Hits
    from index.faiss_index import FaissIndex

    class ForgetsHalf(FaissIndex):
        def search(self, vectors_BD, k, allowed_N=None):
            hits = super().search(vectors_BD, k, allowed_N)
            hits.ids_BK[:, k // 2 :] = -1
            return Hits(hits.ids_BK, hits.similarity_BK)

    monkeypatch.setattr(generation, "FaissIndex", ForgetsHalf)
    write_generation(tmp_path, seed=1)
    assert IndexStore(tmp_path).open_current().manifest.recall_at_10 == 0.5


def test_sha256sum_accepts_the_manifest_hash(two_generations):
    for folder in (two_generations / "generations").iterdir():
        subprocess.run(["sha256sum", "--check", "--strict", "manifest.sha256"], cwd=folder, check=True)


def test_the_two_newest_generations_are_kept(tmp_path):
    for seed in range(4):
        write_generation(tmp_path, seed=seed)
    assert sorted(p.name for p in (tmp_path / "generations").iterdir()) == ["000003", "000004"]
    assert IndexStore(tmp_path).current_id() == "000004"


def test_an_open_generation_answers_after_it_was_cleared_away(tmp_path):
    write_generation(tmp_path, seed=1)
    generation = IndexStore(tmp_path).open_current()
    before = answers(generation)
    for seed in (2, 3, 4):
        write_generation(tmp_path, seed=seed)
    assert not (tmp_path / "generations" / "000001").exists()
    assert answers(generation) == before


def test_an_index_of_another_bundle_is_refused_by_name(two_generations):
    with pytest.raises(IndexMismatch, match="bundle demo, which is not the bundle in use"):
        IndexStore(two_generations).open_current("b" * 64)


def test_after_damage_a_generation_of_another_bundle_is_not_served_either(tmp_path):
    write_generation(tmp_path, seed=1, bundle={"bundle_id": "other", "bundle_sha256": "b" * 64})
    write_generation(tmp_path, seed=2)
    (tmp_path / "generations" / "000002" / "index.faiss").unlink()
    with pytest.raises(IndexMismatch, match="bundle other"):
        IndexStore(tmp_path).open_current("a" * 64)


@pytest.mark.parametrize("name", ["index.faiss", "catalogue.sqlite", "report.json", "manifest.json", "manifest.sha256"])
def test_every_flipped_bit_is_detected_and_the_other_generation_served(two_generations, tmp_path, name):
    root = copy_of(two_generations, tmp_path / "index")
    path = root / "generations" / "000002" / name
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(good), 20):
        damaged = bytearray(good)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        generation = IndexStore(root).open_current("a" * 64)
        assert generation.id == "000001"
        assert "000002" in generation.degraded
        assert "Generation 000001 is served instead" in generation.degraded
        assert str(tmp_path) not in generation.degraded
        generation.close()
    path.write_bytes(good)
    assert IndexStore(root).open_current("a" * 64).degraded is None


def test_every_flipped_bit_of_current_is_detected(two_generations, tmp_path):
    root = copy_of(two_generations, tmp_path / "index")
    good = (root / "CURRENT").read_bytes()
    for position in range(len(good)):
        for bit in range(8):
            damaged = bytearray(good)
            damaged[position] ^= 1 << bit
            (root / "CURRENT").write_bytes(damaged)
            assert IndexStore(root).current_id() is None
    generation = IndexStore(root).open_current()
    assert generation.id == "000002"
    assert "CURRENT" in generation.degraded


@pytest.mark.parametrize("content", [None, b"", b"\n", b"000009 " + b"0" * 64 + b"\n", b"../../etc", b"\xff" * 5000])
def test_a_current_that_names_nothing_leads_to_the_newest_generation(two_generations, tmp_path, content):
    root = copy_of(two_generations, tmp_path / "index")
    (root / "CURRENT").unlink()
    if content is not None:
        (root / "CURRENT").write_bytes(content)
    generation = IndexStore(root).open_current()
    assert generation.id == "000002"
    assert generation.degraded.startswith("CURRENT")
    assert [fault.split()[0] for fault in IndexStore(root).verify()] == ["CURRENT"]
    assert write_generation(root, seed=3) == "000003"
    assert IndexStore(root).open_current().degraded is None


@pytest.mark.parametrize("name", ["index.faiss", "catalogue.sqlite", "manifest.json", "manifest.sha256", "report.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "longer", "a folder", "garbage"])
def test_a_file_missing_cut_or_replaced_is_detected(two_generations, tmp_path, name, damage):
    root = copy_of(two_generations, tmp_path / "index")
    path = root / "generations" / "000002" / name
    good = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"empty": b"", "cut": good[:-1], "longer": good + b"\0", "garbage": good[::-1]}[damage])
    generation = IndexStore(root).open_current()
    assert generation.id == "000001"
    assert "000002" in generation.degraded
    assert any("000002" in fault for fault in IndexStore(root).verify())


def test_a_file_that_nobody_recorded_is_damage(two_generations, tmp_path):
    root = copy_of(two_generations, tmp_path / "index")
    (root / "generations" / "000002" / "index.faiss.bak").write_bytes(b"")
    assert IndexStore(root).open_current().id == "000001"


def test_when_nothing_verifies_the_sentence_says_to_rebuild(two_generations, tmp_path):
    root = copy_of(two_generations, tmp_path / "index")
    for folder in (root / "generations").iterdir():
        (folder / "index.faiss").write_bytes(b"")
    with pytest.raises(IndexDamaged, match="rebuild the index"):
        IndexStore(root).open_current()


def test_a_manifest_of_a_newer_format_is_refused_and_not_overwritten(tmp_path):
    write_generation(tmp_path, seed=1)
    folder = tmp_path / "generations" / "000001"
    manifest = json.loads((folder / "manifest.json").read_text())
    content = json.dumps(manifest | {"schema_version": 2, "new_field": 1}).encode()
    (folder / "manifest.json").write_bytes(content)
    digest = subprocess.run(["sha256sum", "manifest.json"], cwd=folder, check=True, capture_output=True).stdout
    (folder / "manifest.sha256").write_bytes(digest)
    (tmp_path / "CURRENT").write_text(f"000001 {digest[:64].decode()}\n")
    with pytest.raises(IndexDamaged, match="another version of this software"):
        IndexStore(tmp_path).open_current()


def test_leftovers_go_at_start_but_not_while_somebody_writes(tmp_path):
    write_generation(tmp_path, seed=1)
    leftover = tmp_path / "generations" / "000009.tmp"
    leftover.mkdir()
    (tmp_path / "CURRENT.tmp").write_text("half")
    seen = []

    def look(step):
        if step == "vectors written":
            IndexStore(tmp_path).open_current().close()
            seen.extend(p.name for p in (tmp_path / "generations").glob("*.tmp"))

    IndexStore(tmp_path).open_current().close()
    assert not leftover.exists()
    assert not (tmp_path / "CURRENT.tmp").exists()
    write_generation(tmp_path, seed=2, on_step=look)
    assert seen == ["000002.tmp"]


def test_a_second_writer_is_refused_with_the_pid_of_the_first(tmp_path):
    refusals = []

    def try_too(step):
        if step == "files flushed":
            with pytest.raises(IndexBusy, match=f"process {os.getpid()}") as refused:
                write_generation(tmp_path, seed=2)
            refusals.append(refused.value.pid)

    write_generation(tmp_path, seed=1, on_step=try_too)
    assert refusals == [os.getpid()]
    assert IndexStore(tmp_path).current_id() == "000001"


def test_of_many_writers_at_once_exactly_one_writes(tmp_path):
    barrier, started, release = threading.Barrier(8), threading.Event(), threading.Event()
    outcomes = []

    def hold(step):
        if step == "locked":
            started.set()
            release.wait(20)

    def writer(seed):
        barrier.wait()
        try:
            outcomes.append(write_generation(tmp_path, seed=seed, on_step=hold))
        except IndexBusy as busy:
            outcomes.append(busy)

    threads = [threading.Thread(target=writer, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    assert started.wait(20)
    while len(outcomes) < 7:
        threading.Event().wait(0.01)
    release.set()
    for thread in threads:
        thread.join()
    assert [type(o) for o in outcomes[:7]] == [IndexBusy] * 7
    assert outcomes[7:] == ["000001"]


def test_an_error_while_writing_leaves_no_trace(tmp_path):
    write_generation(tmp_path, seed=1)
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))

    def fail(step):
        if step == "vectors written":
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        write_generation(tmp_path, seed=2, on_step=fail)
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before
    assert write_generation(tmp_path, seed=2) == "000002"


SERVE_AND_WRITE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from index.base import IndexNotWritten
from index.store import IndexStore
store = IndexStore(Path(sys.argv[2]))
assert store.open_current().degraded is None
try:
    with store.write(bundle_id="x", bundle_sha256="x", dim=8, build={}):
        pass
except IndexNotWritten as error:
    print(error)
"""


def test_a_read_only_folder_is_served_and_a_write_refused_with_a_sentence(tmp_path):
    write_generation(tmp_path / "index", seed=1)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    (tmp_path / "index").chmod(0o555)
    command = [*as_nobody, sys.executable, "-c", SERVE_AND_WRITE, ROOT, tmp_path / "index"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (tmp_path / "index").chmod(0o755)
    assert done.stdout == "The index folder cannot be written to.\n", done.stderr


WRITE_AND_DIE = """
import os, resource, signal, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from pathlib import Path
from test_store import write_generation
die_at, limit = sys.argv[4], int(sys.argv[5])
def on_step(name):
    print(name, flush=True)
    if name == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
write_generation(Path(sys.argv[3]), seed=2, on_step=on_step)
"""


def write_in_child(root, *, die_at="", limit=0):
    command = [sys.executable, "-c", WRITE_AND_DIE, ROOT, Path(__file__).parent, root, die_at, str(limit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_killed_at_any_step_the_old_or_the_new_generation_is_complete(tmp_path, tmp_path_factory):
    old, new = golden(tmp_path_factory, 1), golden(tmp_path_factory, 2)
    steps = []
    prepared = tmp_path / "prepared"
    write_generation(prepared, seed=0)
    write_generation(prepared, seed=1)
    write_generation(copy_of(prepared, tmp_path / "undisturbed"), seed=2, on_step=steps.append)
    assert len(steps) == 14
    seen = []
    for number, step in enumerate(steps):
        root = copy_of(prepared, tmp_path / f"killed-{number}")
        assert write_in_child(root, die_at=step).returncode == -signal.SIGKILL
        generation = IndexStore(root).open_current("a" * 64)
        assert generation.degraded is None, step
        assert answers(generation) in (old, new), step
        seen.append("new" if answers(generation) == new else "old")
        assert not [p for p in root.rglob("*") if p.name.endswith(".tmp")], step
        assert IndexStore(root).verify() == [], step
    assert re.fullmatch("(old )+(new )+", " ".join(seen) + " ")
    assert seen.index("new") == steps.index("CURRENT replaced")


@pytest.mark.parametrize("limit", [1_000, 6_000, 40_000])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_generation(tmp_path, limit):
    write_generation(tmp_path, seed=1)
    done = write_in_child(tmp_path, limit=limit)
    assert done.returncode == 1
    assert "IndexNotWritten: There is no space left for a new index generation; nothing was changed." in done.stderr
    assert not list(tmp_path.rglob("*.tmp"))
    generation = IndexStore(tmp_path).open_current()
    assert (generation.id, generation.degraded) == ("000001", None)


def test_a_name_that_leaves_the_folder_is_no_file_name(tmp_path):
    with pytest.raises(ValueError, match="plain"), IndexStore(tmp_path).write(**BUNDLE, dim=DIM, build={}) as writer:
        writer.add_file("../report.json", b"")
    with pytest.raises(IndexMissing):
        IndexStore(tmp_path).open_current()


def test_an_error_other_than_the_disks_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(IsADirectoryError), IndexStore(tmp_path).write(**BUNDLE, dim=DIM, build={}):
        open(tmp_path)  # noqa: SIM115
