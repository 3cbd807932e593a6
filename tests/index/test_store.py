"""Generations: written whole or not at all, verified to the last bit, one writer at a time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from made_up_generations import BUNDLE, DIM, ROOT, answers, golden, write_and_die, write_generation, write_on_full_disk

from index.base import IndexBusy, IndexDamaged, IndexMismatch, IndexMissing, IndexNewer
from index.store import IndexStore


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
    from index.backends.faiss_backend import FaissIndex
    from index.base import Hits

    class ForgetsHalf(FaissIndex):
        def search(self, vectors_BD, k, allowed_N=None):
            hits = super().search(vectors_BD, k, allowed_N)
            hits.ids_BK[:, k // 2 :] = -1
            return Hits(hits.ids_BK, hits.similarity_BK)

    monkeypatch.setattr(generation, "backend_named", lambda name: ForgetsHalf)
    write_generation(tmp_path, seed=1)
    assert IndexStore(tmp_path).open_current().manifest.recall_at_10 == 0.5


def test_a_manifest_names_its_search_engine_only_where_it_is_another_than_the_first(two_generations):
    """Whoever goes back to a version that knew one engine keeps an index that it can read."""
    for folder in (two_generations / "generations").iterdir():
        assert "backend" not in json.loads((folder / "manifest.json").read_text())
    assert IndexStore(two_generations).open_current().manifest.backend == "faiss-flat"


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


def write_manifest(root, generation_id, content):
    """Another manifest for a generation, with the hash it then has; CURRENT names it."""
    folder = root / "generations" / generation_id
    (folder / "manifest.json").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (folder / "manifest.sha256").write_text(f"{digest}  manifest.json\n")
    (root / "CURRENT").write_text(f"{generation_id} {digest}\n")


def tree(root):
    """What lies in a folder; the lock says who took it last, which is nobody's index."""
    files = [path for path in root.rglob("*") if path.is_file() and path.name != "lock"]
    return {path.relative_to(root): path.read_bytes() for path in files}


@pytest.mark.parametrize("fields", [{}, {"id": "000002", "count": "many", "what_the_future_needs": [1]}])
def test_a_generation_of_a_newer_format_is_refused_by_name_whatever_else_it_says_and_never_written_beside(
    tmp_path, fields
):
    write_generation(tmp_path, seed=1)
    write_generation(tmp_path, seed=2)
    shutil.rmtree(tmp_path / "generations" / "000001")
    write_manifest(tmp_path, "000002", json.dumps({"schema_version": 2} | fields).encode())
    before = tree(tmp_path)
    sentence = "Generation 000002 was written by a newer version of this software"
    for expected in (None, "b" * 64):
        with pytest.raises(IndexNewer, match=f"^{sentence}.$"):
            IndexStore(tmp_path).open_current(expected)
    with pytest.raises(IndexNewer, match=f"^{sentence}"):
        IndexStore(tmp_path).info()
    assert IndexStore(tmp_path).verify() == [f"{sentence}."]
    with pytest.raises(IndexNewer, match=f"^{sentence}, so this version writes nothing beside it.$"):
        write_generation(tmp_path, seed=3)
    assert tree(tmp_path) == before
    (tmp_path / "CURRENT").unlink()
    with pytest.raises(IndexNewer, match="writes nothing beside it"):
        write_generation(tmp_path, seed=3)


def test_beside_a_newer_generation_an_older_one_is_served_that_says_so(two_generations, tmp_path):
    root = copy_of(two_generations, tmp_path / "index")
    write_manifest(root, "000002", b'{"schema_version": 7}')
    generation = IndexStore(root).open_current("a" * 64)
    assert generation.id == "000001"
    assert "000002 was written by a newer version of this software. Generation 000001 is served" in generation.degraded
    (root / "generations" / "000001" / "index.faiss").unlink()
    with pytest.raises(IndexNewer, match="000002"):
        IndexStore(root).open_current("a" * 64)


@pytest.mark.parametrize("content", [b"[]", b"{}", b"nothing", b'{"schema_version": 1}', b'{"schema_version": "2"}'])
def test_a_manifest_that_fits_no_format_is_damage_and_a_new_generation_mends_it(tmp_path, content):
    write_generation(tmp_path, seed=1)
    write_manifest(tmp_path, "000001", content)
    with pytest.raises(IndexDamaged, match="another version of this software"):
        IndexStore(tmp_path).open_current()
    assert write_generation(tmp_path, seed=2) == "000002"


def test_of_another_bundles_generation_only_the_manifest_is_read(two_generations, tmp_path):
    root = copy_of(two_generations, tmp_path / "index")
    for name in ("index.faiss", "catalogue.sqlite"):
        (root / "generations" / "000002" / name).unlink()
    with pytest.raises(IndexMismatch, match="not the bundle in use"):
        IndexStore(root).open_current("b" * 64)


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
    for parent in (tmp_path, *tmp_path.parents):
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    (tmp_path / "index").chmod(0o555)
    command = [*as_nobody, sys.executable, "-c", SERVE_AND_WRITE, ROOT, tmp_path / "index"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (tmp_path / "index").chmod(0o755)
    assert done.stdout == "The index folder cannot be written to.\n", done.stderr


def test_killed_at_any_step_the_old_or_the_new_generation_is_complete(tmp_path):
    old, new = golden(tmp_path / "golden-1", 1), golden(tmp_path / "golden-2", 2)
    steps = []
    prepared = tmp_path / "prepared"
    write_generation(prepared, seed=0)
    write_generation(prepared, seed=1)
    write_generation(copy_of(prepared, tmp_path / "undisturbed"), seed=2, on_step=steps.append)
    assert len(steps) == 14
    roots = [copy_of(prepared, tmp_path / f"killed-{number}") for number in range(len(steps))]
    assert write_and_die(list(zip(roots, steps, strict=True))) == [-signal.SIGKILL] * len(steps)
    seen = []
    for root, step in zip(roots, steps, strict=True):
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
    done = write_on_full_disk(tmp_path, limit)
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
