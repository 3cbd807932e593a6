import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import training.evaluation.retrieval as retrieval
from training.evaluation.retrieval import (
    exact_pairs,
    phenotype_pairs,
    phenotype_tolerance,
    random_precision_Q,
    random_recall,
    retrieval_metrics,
    score_queries,
)

PUBLISHED = np.load(Path(__file__).parents[1] / "data" / "published.npz")


def numbered(names, order):
    place = {name: i for i, name in enumerate(order)}
    return np.array([place[name] for name in names])


def published_case(tag):
    """Similarity, both ground truths and the names of rows of one published case."""
    get = {k.removeprefix("retr_in_"): PUBLISHED[k] for k in PUBLISHED.files if k.startswith("retr_in_")}
    keep = np.isfinite(get["row_pheno"]) if tag == "lvef" else np.ones(len(get["row_pheno"]), bool)
    ecgs, studies = PUBLISHED[f"retr_{tag}_ecg_order"], PUBLISHED[f"retr_{tag}_study_order"]
    ecg, study = numbered(get["row_ecg"][keep], ecgs), numbered(get["row_study"][keep], studies)
    similarity = get["sim"][np.ix_(numbered(ecgs, get["ecg_ids"]), numbered(studies, get["study_ids"]))]
    return ecg, study, get["row_pheno"][keep], similarity


def naive_metrics(similarity, relevant, excluded):
    """The definitions, one query at a time."""
    columns = {name: [] for name in ("first", "ap", "alignment")}
    at = {k: ([], []) for k in (1, 3, 5, 10)}
    targets = similarity.shape[1]
    for q in range(len(similarity)):
        allowed = [t for t in range(targets) if not excluded[q, t]]
        ranked = sorted(allowed, key=lambda t: -similarity[q, t])
        hit = [bool(relevant[q, t]) for t in ranked]
        n = sum(hit)
        for k, (recall, precision) in at.items():
            recall.append(sum(hit[:k]) / n if n else 0.0)
            precision.append(sum(hit[:k]) / k)
        columns["first"].append(hit.index(True) + 1 if n else targets + 1)
        columns["ap"].append(sum(sum(hit[: i + 1]) / (i + 1) for i in range(len(hit)) if hit[i]) / n if n else 0.0)
        if n:
            columns["alignment"].append(np.mean([similarity[q, t] for t in allowed if relevant[q, t]]))
    values = {f"recall_at_{k}": np.mean(r) for k, (r, _) in at.items()}
    values |= {f"precision_at_{k}": np.mean(p) for k, (_, p) in at.items()}
    return values | {
        "mean_average_precision": np.mean(columns["ap"]),
        "median_rank": np.median(columns["first"]),
        "mean_rank": np.mean(columns["first"]),
        "alignment_score": np.mean(columns["alignment"]),
    }


def test_exact_pair_metrics_equal_the_published_ones_both_ways():
    ecg, study, _, similarity = published_case("plain")
    forward = exact_pairs(ecg, study, *similarity.shape)
    assert np.array_equal(forward, PUBLISHED["retr_plain_gt_ecg_to_echo"])
    ours = [
        *retrieval_metrics(similarity, forward).as_dict().values(),
        *retrieval_metrics(similarity.T, forward.T).as_dict().values(),
    ]
    np.testing.assert_allclose(ours, PUBLISHED["retr_plain_metric_values"], atol=1e-6)


def test_phenotype_truth_and_metrics_equal_the_published_ones_both_ways():
    ecg, study, value, similarity = published_case("lvef")
    tolerance = phenotype_tolerance(study, value)
    assert tolerance == pytest.approx(float(PUBLISHED["retr_lvef_threshold"]), abs=1e-12)
    forward = phenotype_pairs(ecg, study, study, value, tolerance)
    backward = phenotype_pairs(study, ecg, study, value, tolerance)
    assert np.array_equal(forward, PUBLISHED["retr_lvef_gt_ecg_to_echo"])
    assert np.array_equal(backward.T, PUBLISHED["retr_lvef_gt_echo_to_ecg_transposed"])
    ours = [
        *retrieval_metrics(similarity, forward).as_dict().values(),
        *retrieval_metrics(similarity.T, backward).as_dict().values(),
    ]
    np.testing.assert_allclose(ours, PUBLISHED["retr_lvef_metric_values"], atol=1e-6)


def test_phenotype_truth_equals_a_naive_twin():
    draw = np.random.default_rng(11)
    study = np.concatenate([np.arange(15), draw.integers(0, 15, 45)])
    ecg = np.concatenate([draw.permutation(20), draw.integers(0, 20, 40)])
    value = np.round(draw.normal(50, 10, 60))
    ours = phenotype_pairs(ecg, study, study, value, 4.0)
    for q in range(20):
        mean = np.mean([v for _, v in {(s, v) for e, s, v in zip(ecg, study, value, strict=True) if e == q}])
        for t in range(15):
            expected = any(abs(v - mean) <= 4.0 for s, v in zip(study, value, strict=True) if s == t)
            assert ours[q, t] == expected


@pytest.mark.parametrize("chunk_cells", [1, 10**9])
def test_metrics_equal_a_naive_twin_with_and_without_exclusion(monkeypatch, chunk_cells):
    monkeypatch.setattr(retrieval, "_CHUNK_CELLS", chunk_cells)
    draw = np.random.default_rng(4)
    similarity = draw.standard_normal((23, 31)).astype(np.float32)
    relevant = draw.uniform(size=(23, 31)) < 0.2
    relevant[5] = False
    for excluded in (np.zeros((23, 31), bool), draw.uniform(size=(23, 31)) < 0.3):
        ours = retrieval_metrics(similarity, relevant, excluded).as_dict()
        assert ours == pytest.approx(naive_metrics(similarity, relevant, excluded), abs=1e-6)


def test_random_precision_and_recall_are_what_random_rankings_give():
    draw = np.random.default_rng(2)
    relevant, excluded = draw.uniform(size=(2, 40, 50)) < np.array([0.1, 0.3])[:, None, None]
    relevant[3] = False
    for out in (None, excluded):
        found = [
            score_queries(draw.standard_normal((40, 50)).astype(np.float32), relevant, out, more_ranks=(20, 45))
            for _ in range(300)
        ]
        for k in (1, 20, 45):  # of 50 targets less those that are out, which are fewer than 45
            precision_Q = np.mean([s.precision_Q(k) for s in found], axis=0)
            assert random_precision_Q(relevant, out, k).mean() == pytest.approx(precision_Q.mean(), abs=0.01)
            np.testing.assert_allclose(random_precision_Q(relevant, out, k), precision_Q, atol=0.1)
            assert random_recall(relevant, out, k) == pytest.approx(np.mean([s.recall_Q(k) for s in found]), abs=0.01)


def test_hits_at_more_ranks_change_no_metric():
    draw = np.random.default_rng(3)
    similarity = draw.standard_normal((20, 30)).astype(np.float32)
    relevant = draw.uniform(size=(20, 30)) < 0.2
    scores = score_queries(similarity, relevant, more_ranks=(2, 30))
    assert scores.metrics() == retrieval_metrics(similarity, relevant)
    assert np.array_equal(scores.recall_Q(30), relevant.any(axis=1))


def test_memory_stays_bounded_while_ranking():
    draw = np.random.default_rng(0)
    similarity = draw.standard_normal((4000, 2000)).astype(np.float32)
    relevant = similarity > 1.5
    tracemalloc.start()
    retrieval_metrics(similarity, relevant)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250e6


def test_matrices_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="matrix"):
        retrieval_metrics(np.zeros((2, 3), np.float32), np.zeros((3, 2), bool))
