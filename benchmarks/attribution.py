"""Whether maps of which patches speak for an answer hold: deletion, randomised models, and what the simulator changed.

    echo2ecg simulate DIR --patients 40 --seed 4141; echo2ecg embed echo DIR --bundle bundles/demo -o studies.npz
    python -m benchmarks.attribution [--studies studies.npz] [--part deletion] [--minutes 10]

One window (the first 2.5 s) of fresh simulated ECGs. Written down before the first run, with the settings in
`models/attribution.py`; a map of a method for a target may be shown where it passes all three:

deletion       the 10, 20 and 30 % of patches that speak most for the target are taken away, and as many drawn at random
               (mean of five draws). The mean drop over the three shares, map less random, has a 95 % interval
               (bootstrap over ECGs) above 0, where patches become the record's own zero and also where they are not
               read at all.
               For comparison alone: the patches with most signal.
randomisation  weights drawn anew (normal, each tensor's own mean and spread) from the top block down to the patch
               embedding (Adebayo et al. 2018): when all are, the mean rank correlation with the map of the trained
               encoder is below 0.2. Of sizes without signs it is printed beside.
causes         the same heart and noise without and with a disease: the fifth of the patches that the disease changed
               most, in units of each lead group's spread, is the truth. Their share of all sizes of the map is, over
               all causes of the target, above 0.2 and above the share of the same patches in the healthy ECG (95 %
               intervals, bootstrap over hearts). LVEF: the causes in which it falls. Absolute voltage is lost in
               preparation, so that an effusion shows by ratios between leads alone; atrial fibrillation moves every
               beat, so that there are no patches to compare.

Each part stops at its number of ECGs, or takes no new one after its minutes. Without studies `match` is not asked.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import nn

from inputs.ecg.prepare import ecg_windows, prepare_ecg, resample_signal
from inputs.records import STANDARD_LEADS, EcgRecording
from inputs.specs import EcgSpec
from models.attribution import METHODS, Explainer, own_zero
from models.bundle import Bundle
from simulator.ecg.electrics import Expression, sample_electrics
from simulator.ecg.recorder import choose_recorder
from simulator.ecg.signal import simulate_ecg
from simulator.patient import sample_patient
from simulator.physiology import Infarct, Physiology
from simulator.segments import NORMAL_MOTION, SEGMENTS, TERRITORIES

BUNDLE = Path(__file__).resolve().parent.parent / "bundles" / "demo"
SHARES = (0.1, 0.2, 0.3)
DRAWS = 5
CHANGED = 0.2
LIMIT = 0.2
FEWEST = 10
"""ECGs or hearts from which a part is said to hold or to fail: an interval by bootstrap over fewer means little."""


def infarct_of(artery: Infarct) -> dict[str, Any]:
    """A scar of this artery's whole territory."""
    fed = TERRITORIES[artery]
    motion = tuple(1.0 - fed.get(segment.name, 0.0) for segment in SEGMENTS)
    return {"cause": "ischaemic", "infarct": artery, "segment_motion": motion}


LOW_LVEF: dict[str, Any] = {"lvef_percent": 30.0, "lvedv_ml": 180.0, "lvesv_ml": 126.0}
# What changes in the physiology, and which trait lets it show for certain.
CAUSES: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "failing pump, LVEF 30": (LOW_LVEF, {}),
    "the same, left bundle block": ({**LOW_LVEF, "conduction": "left_bundle_block"}, {}),
    "anterior infarct, LVEF 40": ({"lvef_percent": 40.0, **infarct_of("LAD")}, {"scar_t_sign": 0.0}),
    "inferior infarct, LVEF 40": ({"lvef_percent": 40.0, **infarct_of("RCA")}, {"scar_t_sign": 0.0}),
    "thick walls with strain": ({"septum_cm": 1.6, "posterior_wall_cm": 1.5, "lv_mass_g": 300.0}, {"strain_rank": 0.0}),
    "right heart, PASP 70": ({"pasp_mmhg": 70.0, "rv_dysfunction": 2}, {}),
    "large effusion": ({"effusion": 3}, {}),
}
_Floats = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--studies", type=Path, help="what `embed echo` writes")
    parser.add_argument("--part", choices=("all", "cost", "deletion", "randomisation", "causes"), default="all")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each part")
    parser.add_argument("--seed", type=int, default=987_101)
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle, device="cpu", parts=("ecg",))
    studies_ND = None if options.studies is None else np.load(options.studies)["embeddings"]
    parts = {"cost": cost, "deletion": deletion, "randomisation": randomisation, "causes": causes}
    for name, part in parts.items():
        if options.part in ("all", name):
            print(f"\n{name}: {bundle.id}, seed {options.seed}", flush=True)
            part(bundle, studies_ND, options.seed, time.monotonic() + 60 * options.minutes)


def cost(bundle: Bundle, studies_ND: _Floats | None, seed: int, until: float) -> None:
    """Seconds of this process for one target of one window, least of three."""
    window, _ = next(fresh_ecgs(bundle, None, seed, 1, until))
    alone = Explainer(bundle.explainer().tower, None, bundle.explainer().number_head, rate_hz=1.0, rows=32)
    for method in METHODS:
        times = []
        for _ in range(3):
            start = time.process_time()
            alone.attribution(window[None], method=method)
            times.append(time.process_time() - start)
        print(f"{method}: {min(times):.2f} s of one core for one target of one window")


def fresh_ecgs(
    bundle: Bundle, studies_ND: _Floats | None, seed: int, count: int, until: float
) -> Iterator[tuple[_Floats, _Floats | None]]:
    """First windows (1, L, N) of new patients, each with the study nearest to it (1, D)."""
    for number, stream in enumerate(np.random.SeedSequence(seed).spawn(count)):
        if number and time.monotonic() > until:
            return
        rng = np.random.default_rng(stream)
        patient, electrics = sample_patient(rng), sample_electrics(rng)
        recorder = choose_recorder(patient.site, rng)
        moment = patient.at(float(rng.uniform(30, 1000)))
        signal_mv = simulate_ecg(moment, electrics=electrics, recorder=recorder, rng=rng)
        window = first_window(signal_mv, recorder.rate_hz, bundle.ecg)
        yield window, nearest(bundle, studies_ND, window)


def first_window(signal_mv: _Floats, rate_hz: float, spec: EcgSpec) -> _Floats:
    recording = EcgRecording(signal_mv, rate_hz, STANDARD_LEADS, "simulated")
    return ecg_windows(prepare_ecg(recording, spec).signal_LN, spec)[:1]


def nearest(bundle: Bundle, studies_ND: _Floats | None, window: _Floats) -> _Floats | None:
    if studies_ND is None:
        return None
    embedding_D = bundle.embed_ecgs(window[None]).embeddings_BD
    assert embedding_D is not None
    return studies_ND[[int((studies_ND @ embedding_D[0]).argmax())]]


def deletion(bundle: Bundle, studies_ND: _Floats | None, seed: int, until: float) -> None:
    """How much more a target falls without the patches that speak for it than without as many random ones."""
    explainer, rng = bundle.explainer(), np.random.default_rng(seed)
    targets = explainer.targets(match=studies_ND is not None)
    names = [*METHODS, "most signal"]
    found: list[_Floats] = []
    for window, study in fresh_ecgs(bundle, studies_ND, seed, 200, until):
        maps = [explainer.attribution(window[None], study, method=one).map_BTWLP[0, :, 0] for one in METHODS]
        off = torch.from_numpy(window) - own_zero(torch.from_numpy(window))
        patches = off.view(explainer.sizes.leads, -1, explainer.sizes.patch_samples)
        maps.append(np.broadcast_to(patches.square().mean(dim=2).numpy(), maps[0].shape))
        scores_MTQ = np.stack(maps).reshape(len(maps), len(targets), -1)
        found.append(drops(explainer, window, study, scores_MTQ, rng))
    more_EWMT = np.stack(found)
    print(f"{len(found)} ECGs; mean drop of the target less that of random patches (95 %)")
    for m, name in enumerate(names):
        for t, target in enumerate(targets):
            cells = [interval(more_EWMT[:, way, m, t]) for way in (0, 1)]
            told = "" if name == "most signal" else verdict(len(found), min(low for _, low, _ in cells) > 0)
            ways = "; ".join(
                f"{way} {mean:+.3f} ({low:+.3f} to {high:+.3f})"
                for way, (mean, low, high) in zip(("zero", "unread"), cells, strict=True)
            )
            print(f"  {name:22}{target:14}{ways}  {told}", flush=True)


def drops(
    explainer: Explainer, window: _Floats, study: _Floats | None, scores_MTQ: _Floats, rng: np.random.Generator
) -> _Floats:
    """Mean drop over the shares, map less random, by way of taking away: (2, M, T)."""
    M, T, Q = scores_MTQ.shape
    orders_OQ = np.concatenate(
        [(-scores_MTQ).reshape(M * T, Q).argsort(axis=1, kind="stable"), [rng.permutation(Q) for _ in range(DRAWS)]]
    )
    whole = torch.from_numpy(window)
    zero = own_zero(whole)
    study_D = None if study is None else torch.from_numpy(study[0])
    gone_2OT = np.zeros((2, len(orders_OQ), T))
    with torch.inference_mode():
        said_T = explainer.said(whole[None], study_D)[0].numpy()
        for share in SHARES:
            first = round(share * Q)
            is_gone_OQ = np.zeros_like(orders_OQ, dtype=bool)
            np.put_along_axis(is_gone_OQ, orders_OQ[:, :first], True, axis=1)
            is_gone = torch.from_numpy(is_gone_OQ).repeat_interleave(explainer.sizes.patch_samples, dim=1)
            zeroed = torch.where(is_gone.view(-1, *whole.shape), zero, whole)
            gone_2OT[0] += said_T - explainer.said(zeroed, study_D).numpy()
            visible_OV = torch.from_numpy(np.sort(orders_OQ[:, first:], axis=1))
            unread = whole.expand(len(orders_OQ), *whole.shape)
            gone_2OT[1] += said_T - explainer.said(unread, study_D, visible_OV).numpy()
    gone_2OT /= len(SHARES)
    by_map = gone_2OT[:, : M * T].reshape(2, M, T, T)
    own_2MT = by_map[:, :, range(T), range(T)]
    return np.asarray(own_2MT - gone_2OT[:, None, M * T :].mean(axis=2), dtype=np.float32)


def randomisation(bundle: Bundle, studies_ND: _Floats | None, seed: int, until: float) -> None:
    """Rank correlation of a map with that of encoders whose weights are drawn anew, from the top down."""
    trained = bundle.explainer()
    targets = trained.targets(match=studies_ND is not None)
    stages = randomised(trained, seed)
    found: list[list[list[list[tuple[float, float]]]]] = []
    for window, study in fresh_ecgs(bundle, studies_ND, seed + 1, 40, until):
        of_ecg = []
        for method in METHODS:
            first = trained.attribution(window[None], study, method=method).map_BTWLP[0]
            others = [one.attribution(window[None], study, method=method).map_BTWLP[0] for _, one in stages]
            of_ecg.append([[alike(first[t], other[t]) for t in range(len(targets))] for other in others])
        found.append(of_ecg)
    corr_MSTK = np.mean(found, axis=0)
    print(f"{len(found)} ECGs; mean rank correlation, in brackets of the sizes without signs")
    print(f"  {'':36}" + "".join(f"{name:>16}" for name, _ in stages))
    for m, method in enumerate(METHODS):
        for t, target in enumerate(targets):
            cells = "".join(f"{signed:>9.2f} ({size:.2f})" for signed, size in corr_MSTK[m, :, t])
            told = verdict(len(found), abs(corr_MSTK[m, -1, t, 0]) < LIMIT)
            print(f"  {method:22}{target:14}{cells}  {told}", flush=True)


def randomised(trained: Explainer, seed: int) -> list[tuple[str, Explainer]]:
    """Copies, each with one part more drawn anew than the one before."""
    generator, stages, last = torch.Generator().manual_seed(seed), [], trained
    blocks = len(trained.tower.ecg_encoder.blocks)
    for name in [*(f"block {number}" for number in reversed(range(blocks))), "all"]:
        last = copy.deepcopy(last)
        encoder = last.tower.ecg_encoder
        parts: list[nn.Module]
        parts = [encoder.patch_embed, encoder.pos_embed_y] if name == "all" else [encoder.blocks[int(name.split()[1])]]
        with torch.no_grad():
            for part in parts:
                for tensor in part.parameters():
                    tensor.copy_(tensor.mean() + tensor.std() * torch.randn(tensor.shape, generator=generator))
        stages.append((name, last))
    return stages


def alike(first: _Floats, second: _Floats) -> tuple[float, float]:
    """Spearman's correlation, of the numbers and of their sizes."""

    def rank_correlation(a: _Floats, b: _Floats) -> float:
        return float(np.corrcoef(rankdata(a.ravel()), rankdata(b.ravel()))[0, 1])

    return rank_correlation(first, second), rank_correlation(np.abs(first), np.abs(second))


def causes(bundle: Bundle, studies_ND: _Floats | None, seed: int, until: float) -> None:
    """Share of the map on the patches that a disease changed, beside the same patches of the same heart without it."""
    explainer = bundle.explainer()
    targets = explainer.targets(match=studies_ND is not None)
    found: list[NDArray[np.float64]] = []
    where: dict[str, NDArray[np.float64]] = {name: np.zeros(explainer.sizes.leads) for name in CAUSES}
    for stream in np.random.SeedSequence(seed + 2).spawn(40):
        if found and time.monotonic() > until:
            break
        of_heart = np.zeros((len(CAUSES), len(METHODS), len(targets), 2))
        pairs = {name: pair(name, stream, bundle.ecg, explainer.sizes.patch_samples) for name in CAUSES}
        # Without a cause the ECG is the same whichever it is.
        windows = [next(iter(pairs.values()))[0], *(sick for _, sick, _ in pairs.values())]
        near = [nearest(bundle, studies_ND, window) for window in windows]
        studies = None if studies_ND is None else np.concatenate([one for one in near if one is not None])
        changed = [(c, name, pairs[name][2]) for c, name in enumerate(CAUSES)]
        for m, method in enumerate(METHODS):
            sizes_BTLP = np.abs(explainer.attribution(np.stack(windows), studies, method=method).map_BTWLP[:, :, 0])
            for c, name, changed_LP in changed:
                share_2T = sizes_BTLP[[c + 1, 0]][:, :, changed_LP].sum(axis=2) / sizes_BTLP[[c + 1, 0]].sum(
                    axis=(2, 3)
                )
                of_heart[c, m] = share_2T.T
                where[name] += changed_LP.mean(axis=1)
        found.append(of_heart)
    share_ECMTK = np.stack(found)
    print(f"{len(found)} hearts; share of the map on what was changed: sick, healthy; by chance {CHANGED}")
    for m, method in enumerate(METHODS):
        for t, target in enumerate(targets):
            of_target = [
                c for c, (name, _) in enumerate(CAUSES.items()) if "LVEF" in name or not target.startswith("lv")
            ]
            of_target += [c for c, name in enumerate(CAUSES) if "left bundle" in name and target.startswith("lv")]
            print_causes(f"{method}, {target}", share_ECMTK[:, :, m, t], sorted({*of_target}), where)


def print_causes(
    title: str, share_EC2: NDArray[np.float64], of_target: list[int], where: dict[str, NDArray[np.float64]]
) -> None:
    names = list(where)
    print(f"  {title}")
    for c in of_target:
        most = ", ".join(STANDARD_LEADS[i] for i in np.argsort(-where[names[c]])[:3])
        mean, low, high = interval(share_EC2[:, c, 0] - share_EC2[:, c, 1])
        sick, healthy = share_EC2[:, c].mean(axis=0)
        print(f"    {names[c]:30}{most:16}{sick:.3f} {healthy:.3f}  more by {mean:+.3f} ({low:+.3f} to {high:+.3f})")
    of_all_E2 = share_EC2[:, of_target].mean(axis=1)
    beyond_chance, beyond_healthy = interval(of_all_E2[:, 0] - CHANGED), interval(of_all_E2[:, 0] - of_all_E2[:, 1])
    told = verdict(len(share_EC2), min(beyond_chance[1], beyond_healthy[1]) > 0)
    cells = ", ".join(f"{mean:+.3f} ({low:+.3f} to {high:+.3f})" for mean, low, high in (beyond_chance, beyond_healthy))
    print(f"    {'all: above chance, healthy':46}{cells}  {told}", flush=True)


def pair(
    cause: str, stream: np.random.SeedSequence, spec: EcgSpec, patch_samples: int
) -> tuple[_Floats, _Floats, NDArray[np.bool_]]:
    """The same heart, noise and beats without and with a cause (1, L, N each), and the patches (L, P) it changed most.

    No early beats and full expression: both ECGs then draw the same random numbers one by one.
    """
    rng = np.random.default_rng(stream)
    patient = sample_patient(rng)
    traits = replace(
        sample_electrics(rng), ectopy=0.0, atrial_ectopy=0.0, expression=Expression.typical(), strain_rank=1.0
    )
    recorder = replace(choose_recorder(patient.site, rng), arms_reversed=False)
    seed = int(rng.integers(2**32))
    healthy = healthy_moment(patient.at(0.0))
    changes, shows = CAUSES[cause]
    sick = replace(healthy, **changes)
    signals = [
        simulate_ecg(moment, electrics=electrics, recorder=recorder, rng=np.random.default_rng(seed))
        for moment, electrics in ((healthy, traits), (sick, replace(traits, **shows)))  # type: ignore[arg-type]
    ]
    without, with_cause = (first_window(signal, recorder.rate_hz, spec) for signal in signals)
    before_LN, after_LN = (resample_signal(one, recorder.rate_hz, spec.rate_hz) for one in signals)
    change_LN = (after_LN - before_LN)[:, : spec.window_samples]
    for first, last in spec.normalisation_groups:
        change_LN[first:last] /= before_LN[first:last].std()
    size_LP = np.square(change_LN.reshape(len(change_LN), -1, patch_samples)).mean(axis=2)
    return without, with_cause, size_LP >= np.quantile(size_LP, 1.0 - CHANGED)


def healthy_moment(moment: Physiology) -> Physiology:
    """The same body with a textbook heart."""
    lesions = ("aortic_stenosis", "aortic_regurgitation", "mitral_regurgitation", "tricuspid_regurgitation")
    grades: dict[str, Any] = dict.fromkeys((*lesions, "pulmonary_regurgitation", "rv_dysfunction", "effusion"), 0)
    return replace(
        moment,
        rhythm="sinus",
        conduction="normal",
        cause="none",
        segment_motion=NORMAL_MOTION,
        heart_rate_bpm=70.0,
        lvef_percent=62.0,
        lvedv_ml=105.0,
        lvesv_ml=40.0,
        septum_cm=0.95,
        posterior_wall_cm=0.92,
        lv_mass_g=85.0 * moment.body_surface_m2,
        la_volume_index=26.0,
        pasp_mmhg=26.0,
        infarct="none",
        **grades,
    )


def verdict(count: int, holds: bool) -> str:
    return "too few to say" if count < FEWEST else "holds" if holds else "fails"


def interval(difference_E: NDArray[np.floating]) -> tuple[float, float, float]:
    """The mean with its 95 % interval, by 2,000 bootstrap draws."""
    rng = np.random.default_rng(0)
    draws = difference_E[rng.integers(len(difference_E), size=(2000, len(difference_E)))].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(difference_E.mean()), float(low), float(high)


if __name__ == "__main__":
    main()
