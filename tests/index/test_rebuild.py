"""The rebuild job: everything usable is indexed, everything else is listed, and nothing is embedded twice."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch
from made_up_cohorts import FakeBundle, FakeReader, environment, make_cohort, rebuild, rebuild_command

import cli.main
import index.rebuild
from cli.console import err
from cohorts import CohortError, open_cohort
from embedding.view_cache import EmbeddedView, ViewCache
from ground.findings import SHD_FLAGS
from ground.progress import silent
from index.base import IndexBusy, IndexNotWritten
from index.catalogue.spread import Spread
from index.rebuild import CLIPS_PER_BATCH, is_current, write_index
from index.store import IndexStore
from inputs.echo.prepare import prepare_clip
from inputs.specs import EchoSpec
from models.device import Machine


@pytest.fixture
def cohort(tmp_path):
    return make_cohort(tmp_path / "cohort")


def test_every_study_is_indexed_with_its_card_views_and_thumbnails(cohort, tmp_path):
    report = rebuild(cohort, tmp_path / "index")
    assert (report.studies, report.views, report.embedded, report.reused, report.skipped) == (6, 18, 18, 0, ())
    generation = IndexStore(tmp_path / "index").open_current("f" * 64)
    assert generation.id == report.generation
    card = generation.catalogue.card("s1")
    assert (card.patient_id, card.age, card.sex, card.lvef_percent, card.lvesv_ml) == ("p0", 41.0, "male", 51.0, None)
    assert card.acquired_at.isoformat() == "2020-01-02T10:00:00"
    assert [(v.view_id, v.view) for v in card.views] == [("v0", None), ("v1", "A4C"), ("v2", "A4C")]
    assert [round(v.pool_weight * 6) for v in card.views] == [1, 2, 3]
    assert generation.catalogue.thumbnail("s1", "v2").startswith(b"\xff\xd8")
    assert [generation.catalogue.card(f"s{i}").shd for i in range(3)] == [True, False, None]
    assert generation.catalogue.card("s0").lvef_percent is None
    assert generation.catalogue.card("s2").sex is None
    assert generation.catalogue.card("s2").flags[SHD_FLAGS[2]] is None
    np.testing.assert_array_equal(generation.catalogue.allowed(exclude_patient="p0").ids, [2, 3, 4, 5])


def test_measurements_of_the_table_are_in_the_index_and_unknown_ones_are_not(cohort, tmp_path):
    table = pd.read_csv(cohort / "studies.csv", dtype=str, keep_default_na=False)
    table["septum_cm"] = ["0.9", "", "1.1", "1.4", "1.2", "1.0"]
    table["pasp_mmhg"] = ""
    table.to_csv(cohort / "studies.csv", index=False)
    rebuild(cohort, tmp_path / "index")
    generation = IndexStore(tmp_path / "index").open_current()
    assert generation.catalogue.card("s0").measurements == {"septum_cm": 0.9}
    assert generation.catalogue.card("s1").measurements == {}
    assert generation.usual.spreads["septum_cm"] == Spread(median=1.1, low=1.0, high=1.2, n=5)
    assert "pasp_mmhg" not in generation.usual.spreads


def test_a_study_lies_where_its_own_views_put_it(cohort, tmp_path):
    rebuild(cohort, tmp_path / "index")
    generation = IndexStore(tmp_path / "index").open_current()
    bundle = FakeBundle()
    clips = [
        prepare_clip(FakeReader().read_echo(cohort / f"s4v{v}.avi", max_frames=2), bundle.manifest.echo)
        for v in range(3)
    ]
    query = bundle.pool_study(bundle.embed_clips(np.stack(clips))).embedding_D
    hits = generation.index.search(query[None], 1)
    assert generation.catalogue.cards(hits.ids_BK[0])[0].study_id == "s4"
    assert hits.similarity_BK[0, 0] == pytest.approx(1, abs=1e-6)


def test_the_report_lies_in_the_generation(cohort, tmp_path):
    (cohort / "s1v0.avi").write_bytes(b"broken")
    report = rebuild(cohort, tmp_path / "index")
    stored = json.loads((tmp_path / "index" / "generations" / report.generation / "report.json").read_text())
    assert stored == json.loads(json.dumps(report.to_dict()))


def test_unchanged_files_are_neither_read_nor_embedded_again(cohort, tmp_path):
    rebuild(cohort, tmp_path / "index")
    (cohort / "s0v0.avi").write_bytes(b"changed")
    bundle, reader = FakeBundle(), FakeReader()
    report = rebuild(cohort, tmp_path / "index", bundle=bundle, reader=reader)
    assert (report.embedded, report.reused, report.studies) == (1, 17, 6)
    assert reader.paths == ["s0v0.avi"]
    assert bundle.batches == [1]
    assert IndexStore(tmp_path / "index").open_current().catalogue.thumbnail("s5", "v2").startswith(b"\xff\xd8")


@pytest.mark.parametrize("bundle", [FakeBundle("e2"), FakeBundle(spec=EchoSpec(frames=3, stride=1, size=8, zoom=0))])
def test_another_encoder_or_preparation_embeds_everything_again(cohort, tmp_path, bundle):
    rebuild(cohort, tmp_path / "index")
    assert rebuild(cohort, tmp_path / "index", bundle=bundle).embedded == 18
    assert rebuild(cohort, tmp_path / "index").reused == 18


def test_clips_are_embedded_in_full_batches_across_studies(cohort, tmp_path):
    bundle = FakeBundle()
    rebuild(cohort, tmp_path / "index", bundle=bundle)
    assert bundle.batches == [CLIPS_PER_BATCH, CLIPS_PER_BATCH, 18 - 2 * CLIPS_PER_BATCH]


def test_clips_are_read_while_others_are_embedded(tmp_path):
    cohort = make_cohort(tmp_path / "cohort", studies=12, views=4)
    embedding, seen = threading.Event(), []

    class Watching(FakeBundle):
        def embed_clips(self, clips_NCTHW):
            embedding.set()
            time.sleep(0.05)
            embedding.clear()
            return super().embed_clips(clips_NCTHW)

    class Noting(FakeReader):
        def read_echo(self, path, **frames):
            seen.append(embedding.is_set())
            return super().read_echo(path, **frames)

    rebuild(cohort, tmp_path / "index", bundle=Watching(), reader=Noting())
    assert sum(seen) >= 8


def test_progress_counts_views_when_their_batch_is_kept(cohort, tmp_path):
    told = []
    rebuild(cohort, tmp_path / "index", progress=lambda *args: told.append(args))
    assert [done for done, _, message in told if message == "Embedding views"] == [8, 16, 18]
    assert {total for _, total, _ in told} == {18}
    assert told[-1][2] == "Writing generation 000001"


def test_hostile_files_are_listed_with_a_reason_and_the_rest_is_indexed(tmp_path):
    cohort = make_cohort(tmp_path / "cohort", studies=12)
    secret = tmp_path / "outside.avi"
    secret.write_bytes(b"outside the cohort")
    for name in ("s0v0", "s1v0", "s2v0", "s3v0", "s5v0", "s6v0", "s7v0"):
        (cohort / f"{name}.avi").unlink()
    os.mkfifo(cohort / "s0v0.avi")
    (cohort / "s1v0.avi").symlink_to(secret)
    (cohort / "s2v0.avi").symlink_to("s2v0.avi")
    (cohort / "s3v0.avi").mkdir()
    (cohort / "s4v0.avi").write_bytes(b"broken")
    (cohort / "s5v0.avi").write_bytes(b"")
    (cohort / "s7v0.avi").symlink_to(cohort / "s7v1.avi")
    for view in range(3):
        (cohort / f"s8v{view}.avi").write_bytes(b"broken too")
    report = rebuild(cohort, tmp_path / "index")
    reasons = {(skip.study_id, skip.view_id): skip.reason for skip in report.skipped}
    assert reasons.pop(("s3", "v0"))  # a folder
    assert reasons == {
        ("s0", "v0"): "This is not a regular file.",
        ("s1", "v0"): "A path in a table leads outside the cohort folder.",
        ("s2", "v0"): "A path in a table is not a file name.",
        ("s4", "v0"): "The file is broken.",
        ("s5", "v0"): "The file is empty.",
        ("s6", "v0"): "The file does not exist.",
        ("s8", "v0"): "The file is broken.",
        ("s8", "v1"): "The file is broken.",
        ("s8", "v2"): "The file is broken.",
        ("s8", ""): "None of its views could be used.",
    }
    assert (report.studies, report.views) == (11, 36 - 10)
    generation = IndexStore(tmp_path / "index").open_current()
    assert generation.catalogue.card("s8") is None
    assert [v.view_id for v in generation.catalogue.card("s0").views] == ["v1", "v2"]
    assert [v.view_id for v in generation.catalogue.card("s7").views] == ["v0", "v1", "v2"]


def test_a_clip_without_a_finite_vector_is_listed(cohort, tmp_path):
    class Unwell(FakeBundle):
        def embed_clips(self, clips_NCTHW):
            vectors = super().embed_clips(clips_NCTHW)
            vectors[0, 0] = np.nan
            return vectors

    report = rebuild(cohort, tmp_path / "index", bundle=Unwell())
    assert {skip.reason for skip in report.skipped} == {"The encoder gave no finite vector."}
    assert report.views == 18 - 3


def test_a_study_without_views_is_listed(cohort, tmp_path):
    echos = pd.read_csv(cohort / "echos.csv")
    echos[echos["study_id"] != "s3"].to_csv(cohort / "echos.csv", index=False)
    report = rebuild(cohort, tmp_path / "index")
    assert [(s.study_id, s.view_id, s.reason) for s in report.skipped] == [
        ("s3", "", "No echo views are listed for it.")
    ]
    assert report.studies == 5


def test_a_row_that_no_card_can_hold_costs_its_own_study_only(cohort, tmp_path):
    opened = open_cohort(cohort)
    times = opened.tables.studies["acquired_at"].astype("datetime64[s]")
    times[2] = np.datetime64("-2020-01-01", "s")  # tables that are read have no such time
    studies = opened.tables.studies.assign(acquired_at=times)
    opened = dataclasses.replace(opened, tables=dataclasses.replace(opened.tables, studies=studies))
    machine = Machine(torch.device("cpu"), 2, silent)
    report = write_index(FakeBundle(), opened, IndexStore(tmp_path / "index"), FakeReader(), machine)
    assert [(s.study_id, s.view_id, s.reason) for s in report.skipped] == [
        ("s2", "", "Its row in the table of studies cannot be kept.")
    ]
    assert (report.studies, report.views) == (5, 15)
    cards = IndexStore(tmp_path / "index").open_current().catalogue.cards(range(5))
    assert [card.study_id for card in cards] == ["s0", "s1", "s3", "s4", "s5"]


def test_a_time_out_of_range_is_refused_before_a_clip_is_read(cohort, tmp_path):
    text = (cohort / "studies.csv").read_text()
    (cohort / "studies.csv").write_text(text.replace("2020-01-03", "-2020-01-03"))
    bundle = FakeBundle()
    with pytest.raises(CohortError, match=r"between the years 1900 and 2250 \(table studies, row 3\)"):
        rebuild(cohort, tmp_path / "index", bundle=bundle)
    assert not bundle.batches


@pytest.mark.parametrize("write", [lambda about: about.write_text("[" * 200_000), os.mkfifo])
def test_an_about_that_cannot_be_read_does_not_stop_the_job(cohort, tmp_path, write):
    write(cohort / "cohort.json")
    assert rebuild(cohort, tmp_path / "index").studies == 6


def test_when_nothing_can_be_used_the_current_index_stays(cohort, tmp_path):
    rebuild(cohort, tmp_path / "index")
    for path in cohort.glob("*.avi"):
        path.write_bytes(b"broken " + path.name.encode())
    with pytest.raises(
        IndexNotWritten, match=r"None of the 6 studies could be indexed. Most often: The file is broken."
    ):
        rebuild(cohort, tmp_path / "index")
    assert IndexStore(tmp_path / "index").open_current().id == "000001"


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_cache_costs_time_but_no_view(cohort, tmp_path, seed):
    rebuild(cohort, tmp_path / "index")
    cache = tmp_path / "index" / "embeddings.sqlite"
    content = bytearray(cache.read_bytes())
    content[4096 * (1 + seed) : 4096 * (2 + seed)] = np.random.default_rng(seed).bytes(4096)
    cache.write_bytes(content)
    report = rebuild(cohort, tmp_path / "index")
    assert (report.studies, report.views, report.embedded + report.reused, report.skipped) == (6, 18, 18, ())


def test_an_index_is_current_for_its_own_bundle_and_cohort_tables_only(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(index.rebuild, "read_manifest", lambda folder: (None, folder.name * 64))
    own, other = tmp_path / "f", tmp_path / "e"
    assert not is_current(own, cohort, tmp_path / "index")
    rebuild(cohort, tmp_path / "index")
    assert is_current(own, cohort, tmp_path / "index")
    assert not is_current(other, cohort, tmp_path / "index")
    (cohort / "studies.csv").write_text((cohort / "studies.csv").read_text().replace("female", "male"))
    assert not is_current(own, cohort, tmp_path / "index")


@pytest.mark.parametrize(
    ("column", "name"), [("study_id", "a\nSet-Cookie: x=1"), ("view_id", ".."), ("view", "\x1b[2J")]
)
def test_a_cohort_with_unfit_names_is_refused_in_one_sentence_by_the_program_and_the_command(
    cohort, tmp_path, monkeypatch, capsys, column, name
):
    for table in ("echos", "studies"):
        rows = pd.read_csv(cohort / f"{table}.csv", dtype=str, keep_default_na=False)
        if column in rows:
            rows[column] = rows[column].replace({rows[column].iloc[-1]: name})
            rows.to_csv(cohort / f"{table}.csv", index=False)
    monkeypatch.setattr(index.rebuild.Bundle, "load", lambda *_, **__: FakeBundle())
    where = [f"--bundle={tmp_path}", f"--cohort={cohort}", f"--index={tmp_path / 'index'}"]
    assert index.rebuild.main([*where, "--device=cpu"]) == 1
    said = json.loads(capsys.readouterr().out)["error"]
    assert re.fullmatch(rf"{column} (holds|is) [^\n]* \(table echos, row \d+.*\)\.( [^\n]*)?", said)
    monkeypatch.setattr("sys.argv", ["echo2ecg", "index", "rebuild", *where, "--device=cpu"])
    with err.capture() as printed, pytest.raises(SystemExit) as ended:
        cli.main.main()
    assert ended.value.code == 1
    assert printed.get().splitlines() == [said]
    assert not (tmp_path / "index" / "CURRENT").exists()


def test_a_second_rebuild_is_refused_while_one_runs(cohort, tmp_path):
    refused = []

    def try_too(step):
        if step == "files flushed":
            with pytest.raises(IndexBusy, match=str(os.getpid())):
                rebuild(cohort, tmp_path / "index")
            refused.append(True)

    rebuild(cohort, tmp_path / "index", on_step=try_too)
    assert refused == [True]


def test_a_killed_rebuild_serves_the_old_index_and_keeps_what_it_had_embedded(tmp_path):
    before, cohort = make_cohort(tmp_path / "before"), make_cohort(tmp_path / "cohort", studies=60, views=4)
    rebuild(before, tmp_path / "index")
    command = rebuild_command(cohort, tmp_path / "index", batch_s=0.02)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as child:
        for line in child.stdout:
            if int(line) >= 120:
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    generation = IndexStore(tmp_path / "index").open_current("f" * 64)
    assert (generation.id, generation.degraded, generation.index.count) == ("000001", None, 6)
    assert not list(tmp_path.rglob("*.tmp"))
    report = rebuild(cohort, tmp_path / "index")
    assert report.studies == 60
    assert report.reused >= 120, "what was told is kept"
    assert report.reused + report.embedded == 240


PROGRAM = """
import os, signal, sys, time
from pathlib import Path
import index.rebuild
from index.store import IndexStore

def rebuild_index(bundle, cohort, folder, machine, *, publishing):
    report = index.rebuild.RebuildReport("000001", "b", 1, 1, 1, 0, (), 0.0)
    with IndexStore(folder).write(bundle_id="b", bundle_sha256="f" * 64, dim=4, build={}):
        if sys.argv[1] == "publishing":
            with publishing(report):
                os.kill(os.getpid(), signal.SIGTERM)
            sys.exit(0)
        print("writing", flush=True)
        time.sleep(60)

index.rebuild.rebuild_index = rebuild_index
sys.exit(index.rebuild.main(["--bundle", "b", "--cohort", "c", "--index", sys.argv[2], "--device", "cpu"]))
"""


def test_a_rebuild_program_that_is_told_to_end_leaves_nothing_half_written(tmp_path):
    command = [sys.executable, "-c", PROGRAM, "writing", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as child:
        assert child.stdout.readline() == "writing\n"
        assert list(tmp_path.rglob("*.tmp"))
        child.terminate()
    assert child.returncode == 128 + signal.SIGTERM
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_rebuild_program_reports_what_it_has_published_whoever_tells_it_to_end(tmp_path):
    command = [sys.executable, "-c", PROGRAM, "publishing", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    assert json.loads(ended.stdout)["report"]["generation"] == "000001"


@pytest.fixture
def view():
    return EmbeddedView(np.arange(4, dtype=np.float32), b"jpeg")


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_cache_gives_back_what_was_put_under_the_same_embedder_only(tmp_path, view):
    with ViewCache(tmp_path / "cache", "one") as cache:
        cache.put({digest("a"): view})
    with ViewCache(tmp_path / "cache", "one") as cache:
        np.testing.assert_array_equal(cache.get(digest("a")).vector_V, view.vector_V)
        assert cache.get(digest("a")).thumbnail_jpeg == b"jpeg"
        assert digest("b") not in cache
    with ViewCache(tmp_path / "cache", "two") as cache:
        assert digest("a") not in cache


def test_a_flipped_bit_in_the_cache_never_reaches_an_index(tmp_path, view):
    with ViewCache(tmp_path / "cache", "one") as cache:
        cache.put({digest("a"): view})
    good = (tmp_path / "cache").read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(good), 150):
        damaged = bytearray(good)
        damaged[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "cache").write_bytes(damaged)
        with ViewCache(tmp_path / "cache", "one") as cache:
            found = cache.get(digest("a"))
            assert found is None or np.array_equal(found.vector_V, view.vector_V)
            cache.put({digest("b"): view})
            assert digest("b") in cache


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_cache_that_is_no_database_is_begun_again(tmp_path, view, content):
    (tmp_path / "cache").write_bytes(content)
    with ViewCache(tmp_path / "cache", "one") as cache:
        assert cache.get(digest("a")) is None
        cache.put({digest("a"): view})
        assert digest("a") in cache
