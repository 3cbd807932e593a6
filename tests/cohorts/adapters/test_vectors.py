"""View vectors of others: a Parquet table, a table with an array, the published pair; and what is wrong with them."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sound_tables import sound_tables
from typer.testing import CliRunner

from cli.main import app
from cohorts import CohortError, check_cohort, open_cohort
from cohorts.adapters import VECTORS, Source, import_cohort
from ground.errors import Refusal
from models.published.view_tensors import tensor_to_npy

WIDTH = 5
OURS = "Columns: study_id, view_id, view, patient_id, vector, vector_row."


@pytest.fixture
def base(tmp_path):
    return sound_tables().write(tmp_path / "base")


@pytest.fixture
def rows(base):
    """Two views of each study, and one of a study that the cohort does not know."""
    studies = open_cohort(base).tables.studies["study_id"]
    table = pd.DataFrame({"study_id": [*studies.repeat(2), "elsewhere"]})
    return table.assign(view_id=[f"v{i}" for i in range(len(table))], vector_row=range(len(table))[::-1])


@pytest.fixture
def vectors(rows):
    return np.random.default_rng(0).standard_normal((len(rows), WIDTH)).astype(np.float32)


def parquet(path, rows, lists, of=None):
    column = pa.array([None if numbers is None else list(map(float, numbers)) for numbers in lists], of)
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False).append_column("vector", column), path)
    return path


def imported(table, base, out, columns=None, vectors=None, name="EchoPrime"):
    files = {} if vectors is None else {"vectors": vectors}
    words = {} if name is None else {"vectors-of": name}
    return import_cohort(VECTORS, Source(table, {"cohort": base}, columns or {}, files, words), out)


def kept(out):
    tables = open_cohort(out).tables
    found = np.concatenate([piece.vectors_NW for piece in tables.view_pieces()])
    return tables, found


def test_a_table_of_lists_becomes_the_views_of_the_cohort_that_is_there(base, rows, vectors, tmp_path):
    done = imported(parquet(tmp_path / "t.parquet", rows, vectors), base, tmp_path / "out")
    tables, found = kept(tmp_path / "out")
    np.testing.assert_array_equal(found, vectors[:-1])
    assert tables.views["view_id"].tolist() == rows["view_id"].tolist()[:-1]
    assert [(left.reason, left.count, left.rows) for left in done.skipped] == [
        ("the study is not in the cohort", 1, (len(rows),))
    ]
    assert (tables.view_source.name, tables.view_source.width) == ("EchoPrime", WIDTH)
    assert tables.ecgs["path"].str.startswith("cohort:").all()
    assert check_cohort(tmp_path / "out").problems == ()


@pytest.mark.parametrize("column", ["vector_row", "echo_embed_idx"])
def test_a_csv_names_the_row_of_an_array_and_its_own_order_counts_for_nothing(base, rows, vectors, tmp_path, column):
    rows.rename(columns={"vector_row": column}).to_csv(tmp_path / "t.csv", index=False)
    np.save(tmp_path / "v.npy", vectors.astype(np.float64))
    imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npy")
    np.testing.assert_array_equal(kept(tmp_path / "out")[1], vectors[::-1][:-1])


def test_the_published_pair_is_imported_from_its_tensor(base, rows, vectors, tmp_path):
    pair = rows[["study_id", "vector_row"]].set_axis(["echo_study_id", "echo_embed_idx"], axis=1)
    pair.to_csv(tmp_path / "pair.csv", index=False)
    torch.save(torch.from_numpy(vectors).half(), tmp_path / "v.pt")
    line = ["cohort", "import", "vectors", tmp_path / "pair.csv", tmp_path / "out", "--vectors-of", "EchoPrime"]
    line += ["--vectors", tmp_path / "v.pt", "--root", f"cohort={base}"]
    result = CliRunner().invoke(app, list(map(str, line)))
    assert result.exit_code == 0, result.output
    tables, found = kept(tmp_path / "out")
    np.testing.assert_array_equal(found, vectors.astype(np.float16).astype(np.float32)[::-1][:-1])
    assert tables.views["view_id"].tolist() == [str(n) for n in rows["vector_row"]][:-1]


def test_a_tensor_file_that_is_anything_else_is_refused_and_not_run(tmp_path):
    torch.save({"model": print}, tmp_path / "code.pt")
    with pytest.raises(Refusal, match=r"code.pt wants .*print, which no weights need"):
        tensor_to_npy(tmp_path / "code.pt", tmp_path / "v.npy")
    torch.save(torch.zeros(3), tmp_path / "flat.pt")
    with pytest.raises(Refusal, match=r"flat.pt is not one tensor"):
        tensor_to_npy(tmp_path / "flat.pt", tmp_path / "v.npy")
    assert not (tmp_path / "v.npy").exists()


def _two_widths(vectors):
    return [*vectors[:2].tolist(), vectors[2][:3].tolist(), *vectors[3:].tolist()]


def _with(vectors, number):
    return [*vectors[:2].tolist(), [number] * WIDTH, *vectors[3:].tolist()]


@pytest.mark.parametrize(
    ("code", "spoilt"),
    [
        ("vector_width", _two_widths),
        ("vector_width", lambda vectors: [*vectors[:2].tolist(), None, *vectors[3:].tolist()]),
        ("vector_not_finite", lambda vectors: _with(vectors, np.nan)),
        ("vector_not_finite", lambda vectors: _with(vectors, 1e300)),
        ("vector_zero", lambda vectors: _with(vectors, 0.0)),
    ],
)
def test_a_vector_that_cannot_be_used_is_refused_by_its_row_and_nothing_is_left(
    base, rows, vectors, tmp_path, code, spoilt
):
    table = parquet(tmp_path / "t.parquet", rows, spoilt(vectors))
    with pytest.raises(CohortError, match=r"\(t.parquet, row 3\)") as refused:
        imported(table, base, tmp_path / "out")
    assert refused.value.code == code
    assert not list(tmp_path.glob("out*"))


def test_two_columns_of_vectors_are_refused_and_not_chosen_from(base, rows, vectors, tmp_path):
    table = pq.read_table(parquet(tmp_path / "t.parquet", rows, vectors))
    pq.write_table(table.append_column("vector", table["vector"]), tmp_path / "t.parquet")
    with pytest.raises(CohortError, match=r"t.parquet has more than one column vector"):
        imported(tmp_path / "t.parquet", base, tmp_path / "out")
    imported(parquet(tmp_path / "t.parquet", rows, vectors), base, tmp_path / "out")
    views = pq.read_table(tmp_path / "out" / "views.parquet")
    pq.write_table(views.append_column("vector", views["vector"]), tmp_path / "out" / "views.parquet")
    with pytest.raises(CohortError, match=r"views.parquet has more than one column vector"):
        open_cohort(tmp_path / "out")


def test_a_table_of_lists_that_is_damaged_within_is_refused(base, rows, vectors, tmp_path):
    file = parquet(tmp_path / "t.parquet", rows, vectors)
    chunk = pq.ParquetFile(file).metadata.row_group(0).column(3)
    content = bytearray(file.read_bytes())
    content[chunk.data_page_offset : chunk.data_page_offset + 20] = b"\xff" * 20
    file.write_bytes(content)
    with pytest.raises(CohortError, match=r"t.parquet cannot be read as a table"):
        imported(file, base, tmp_path / "out")


def test_a_cohort_whose_tables_have_a_pandas_index_keeps_all_its_columns(base, rows, vectors, tmp_path):
    for name, index in (("ecgs", "patient_id"), ("studies", "study_id"), ("splits", "patient_id")):
        table = pd.read_csv(base / f"{name}.csv", dtype=str, keep_default_na=False)
        table.set_index(index).to_parquet(base / f"{name}.parquet")
        (base / f"{name}.csv").unlink()
    again = pd.read_parquet(base / "ecgs.parquet").iloc[[0, 0, 1, 2]].assign(ecg_id=["0", "1", "2", "3"], mine="1")
    again.to_parquet(base / "ecgs.parquet")
    done = imported(parquet(tmp_path / "t.parquet", rows, vectors), base, tmp_path / "out")
    ecgs = open_cohort(tmp_path / "out").tables.ecgs
    assert ecgs["ecg_id"].tolist() == ["0", "1", "2", "3"]
    assert ecgs["patient_id"].duplicated().tolist() == [False, True, False, False]
    assert done.own == {"ecgs": ("mine",)}


def test_an_array_that_is_cut_short_or_lacks_rows_is_refused(base, rows, vectors, tmp_path):
    rows.to_csv(tmp_path / "t.csv", index=False)
    np.save(tmp_path / "v.npy", vectors)
    whole = (tmp_path / "v.npy").read_bytes()
    (tmp_path / "v.npy").write_bytes(whole[:-4])
    with pytest.raises(CohortError, match=r"v.npy is cut short, or is no NumPy array"):
        imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", vectors[:-1])
    with pytest.raises(CohortError, match=rf"beyond the {len(vectors) - 1} vectors of v.npy \(t.csv, row 1\)"):
        imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(CohortError, match="no NumPy array"):
        imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npy")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("key", ["ids", "views"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_names_its_vectors_by_the_views(base, rows, vectors, tmp_path, key, save):
    rows.drop(columns="vector_row").to_csv(tmp_path / "t.csv", index=False)
    order = np.random.default_rng(1).permutation(len(rows))
    save(tmp_path / "v.npz", vectors=np.asfortranarray(vectors[order]), **{key: rows["view_id"].to_numpy(str)[order]})
    imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npz")
    np.testing.assert_array_equal(kept(tmp_path / "out")[1], vectors[:-1])
    assert sorted(file.name for file in (tmp_path / "out").iterdir() if file.suffix not in (".parquet", ".json")) == []


def test_an_npz_without_names_is_read_by_rows(base, rows, vectors, tmp_path):
    rows.to_csv(tmp_path / "t.csv", index=False)
    np.savez(tmp_path / "v.npz", vectors=vectors)
    imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npz")
    np.testing.assert_array_equal(kept(tmp_path / "out")[1], vectors[::-1][:-1])


def _more_than_it_holds(path):
    """A header that claims a million vectors."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (10**6, WIDTH)})
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("vectors.npy", head.getvalue() + bytes(400))


def _cut(path):
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("words", "arrays", "spoil"),
    [
        ("v.npz has no array vectors", {"embeddings": np.ones((7, WIDTH))}, None),
        ("v.npz holds no array of floating-point", {"vectors": np.ones((7, WIDTH), int)}, None),
        ("v.npz is cut short, or is no NumPy array", {"vectors": np.array([{}] * 7)}, None),
        ("v.npz is cut short, or is no NumPy array", {"vectors": np.ones((7, WIDTH))}, _cut),
        ("v.npz is cut short, or is no NumPy array", {"vectors": np.ones((7, WIDTH))}, _more_than_it_holds),
        ("v.npz has not one name", {"vectors": np.ones((7, WIDTH)), "ids": np.array(["v0"])}, None),
        (
            "v.npz has more than one vector of the same",
            {"vectors": np.ones((7, WIDTH)), "ids": np.array(["v"] * 7)},
            None,
        ),
        (
            r"view_id is no name in v.npz \(t.csv, 7 rows: 1",
            {"vectors": np.ones((7, WIDTH)), "ids": np.arange(7)},
            None,
        ),
        ("does not say which row of v.npz", {"vectors": np.ones((7, WIDTH))}, None),
    ],
)
def test_an_npz_that_is_anything_else_is_refused(base, rows, tmp_path, words, arrays, spoil):
    rows.drop(columns="vector_row").to_csv(tmp_path / "t.csv", index=False)
    np.savez(tmp_path / "v.npz", **arrays)
    if spoil is not None:
        spoil(tmp_path / "v.npz")
    with pytest.raises(CohortError, match=words):
        imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npz")
    assert not list(tmp_path.glob("out*"))


def test_views_of_two_studies_that_are_called_alike_do_not_share_a_vector(base, rows, vectors, tmp_path):
    rows.assign(view_id=["a", "b"] * 3 + ["c"]).drop(columns="vector_row").to_csv(tmp_path / "t.csv", index=False)
    np.savez(tmp_path / "v.npz", vectors=vectors[:3], ids=np.array(["a", "b", "c"]))
    with pytest.raises(CohortError, match=r"the same stands in more than one row \(t.csv, 4 rows: 3, 4, 5"):
        imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npz")


def test_an_order_that_no_column_states_is_not_assumed(base, rows, vectors, tmp_path):
    rows.drop(columns="vector_row").to_csv(tmp_path / "t.csv", index=False)
    np.save(tmp_path / "v.npy", vectors)
    with pytest.raises(CohortError, match=r"does not say which row of v.npy"):
        imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npy")


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("id_missing", lambda rows: rows.assign(study_id=["", *rows["study_id"][1:]])),
        ("id_twice", lambda rows: rows.assign(study_id=rows["study_id"][0], view_id="v")),
        ("column_missing", lambda rows: rows.rename(columns={"study_id": "studyid"})),
        ("study_unmatched", lambda rows: rows.assign(study_id="elsewhere")),
    ],
)
def test_ids_that_are_missing_or_twice_are_refused(base, rows, vectors, tmp_path, code, change):
    table = parquet(tmp_path / "t.parquet", change(rows), vectors)
    with pytest.raises(CohortError) as refused:
        imported(table, base, tmp_path / "out")
    assert refused.value.code == code
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"viewid": "view_id"}, f"--map names viewid, which is no column of ours. Is view_id meant? {OURS}"),
        ({"vector": "vectr"}, "t.parquet has no column vectr. Is vector meant?"),
    ],
)
def test_the_nearest_column_is_suggested(base, rows, vectors, tmp_path, columns, words):
    table = parquet(tmp_path / "t.parquet", rows, vectors)
    with pytest.raises(CohortError) as refused:
        imported(table, base, tmp_path / "out", columns)
    assert refused.value.in_full == words


@pytest.mark.parametrize("column", ["patient_id", "MRN"])
def test_a_patient_that_is_not_the_cohorts_is_refused_by_its_rows(base, rows, vectors, tmp_path, column):
    owner = open_cohort(base).tables.studies.set_index("study_id")["patient_id"]
    rows[column] = rows["study_id"].map(owner).fillna("nobody of the cohort")
    columns = {} if column == "patient_id" else {"patient_id": column}
    imported(parquet(tmp_path / "right.parquet", rows, vectors), base, tmp_path / "right", columns)
    rows.loc[[1, 3], column] = "somebody else"
    with pytest.raises(CohortError) as refused:
        imported(parquet(tmp_path / "t.parquet", rows, vectors), base, tmp_path / "out", columns)
    assert refused.value.code == "patient_differs"
    assert f"{column} is not the patient" in refused.value.sentence
    assert "(t.parquet, 2 rows: 2, 4)" in refused.value.sentence


def test_whose_vectors_they_are_must_be_said(base, rows, vectors, tmp_path):
    table = parquet(tmp_path / "t.parquet", rows, vectors)
    with pytest.raises(CohortError, match="does not say whose vectors") as refused:
        imported(table, base, tmp_path / "out", name=None)
    assert "--vectors-of" in refused.value.hint


@pytest.mark.parametrize(
    ("code", "about"),
    [
        ("vector_width", {"name": "E", "width": WIDTH + 1}),
        ("view_source_missing", None),
        ("view_source_invalid", {"width": WIDTH}),
    ],
)
def test_a_cohort_whose_vectors_are_not_what_it_says_is_refused(base, rows, vectors, tmp_path, code, about):
    imported(parquet(tmp_path / "t.parquet", rows, vectors), base, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "cohort.json").read_text()) | {"view_vectors": about}
    (tmp_path / "out" / "cohort.json").write_text(json.dumps(written))
    assert code in [problem.code for problem in check_cohort(tmp_path / "out").problems]


def test_a_damaged_table_of_views_is_refused_and_another_table_is_another_cohort(base, rows, vectors, tmp_path):
    imported(parquet(tmp_path / "t.parquet", rows, vectors), base, tmp_path / "out")
    imported(parquet(tmp_path / "t.parquet", rows, vectors * 2), base, tmp_path / "other")
    first, other = (open_cohort(tmp_path / name) for name in ("out", "other"))
    assert first.echo_tables_sha256 != other.echo_tables_sha256
    assert first.sha256 != other.sha256
    file = tmp_path / "out" / "views.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(CohortError, match=r"views.parquet cannot be read as a table"):
        open_cohort(tmp_path / "out")


def test_a_clip_beside_two_ecgs_of_the_published_pair_is_taken_once(base, rows, vectors, tmp_path):
    np.save(tmp_path / "v.npy", vectors)
    pair = rows[["study_id", "vector_row"]].set_axis(["echo_study_id", "echo_embed_idx"], axis=1)
    pair = pair.loc[pair.index.repeat(2)].assign(ecg_path=[f"{n}.hea" for n in range(2 * len(rows))])
    pair.to_csv(tmp_path / "t.csv", index=False)
    done = imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npy")
    tables, found = kept(tmp_path / "out")
    np.testing.assert_array_equal(found, vectors[rows["vector_row"]][:-1])
    assert ("an earlier row names the same view", len(tables.views)) in [
        (left.reason, left.count) for left in done.skipped
    ]


def test_one_vector_of_several_views_is_refused(base, rows, vectors, tmp_path):
    np.save(tmp_path / "v.npy", vectors)
    rows.assign(vector_row=0).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(CohortError, match="same vector_row stands in rows of several views") as refused:
        imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npy")
    assert refused.value.code == "id_twice"


@pytest.mark.parametrize("columns", [{}, {"vector": "vector"}])
def test_vectors_said_in_two_ways_are_refused_instead_of_passed_over(base, rows, vectors, tmp_path, columns):
    np.save(tmp_path / "v.npy", vectors)
    table = parquet(tmp_path / "t.parquet", rows, vectors[::-1])
    with pytest.raises(CohortError, match="has the column vector, and --vectors names vectors too"):
        imported(table, base, tmp_path / "out", columns, vectors=tmp_path / "v.npy")


def test_rows_of_an_array_that_nobody_named_are_refused(base, rows, vectors, tmp_path):
    table = parquet(tmp_path / "t.parquet", rows, vectors)
    with pytest.raises(CohortError, match="--map vector_row says rows of a --vectors FILE, and none is given"):
        imported(table, base, tmp_path / "out", {"vector_row": "vector_row"})


def test_studies_written_as_floats_are_found(tmp_path, vectors, rows):
    tables = sound_tables()
    numbers = {"s1": "90001", "s2": "90002", "s3": "90003"}
    for frame in (tables.echos, tables.studies):
        frame["study_id"] = frame["study_id"].map(numbers)
    base = tables.write(tmp_path / "numbered")
    np.save(tmp_path / "v.npy", vectors)
    known = rows[rows["study_id"] != "elsewhere"]
    known.assign(study_id=known["study_id"].map(numbers) + ".0").to_csv(tmp_path / "t.csv", index=False)
    imported(tmp_path / "t.csv", base, tmp_path / "out", vectors=tmp_path / "v.npy")
    assert {*kept(tmp_path / "out")[0].views["study_id"]} == {*numbers.values()}
