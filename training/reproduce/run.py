"""The paper's comparison, told from a cohort folder to one table.

Whoever calls it gives the cohort: training knows no simulator. What is finished in the folder is found again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from ground.disk import hold, write_whole
from ground.errors import Refusal
from ground.progress import Progress
from models.bundle import read_manifest
from models.device import Machine
from models.ecg_encoder import EcgEncoder
from training.encoders.ecg import bundle_ecg_encoder
from training.engine.run_log import require_tensorboard
from training.reproduce.arms import ALIGNED, Arm, TaughtBy
from training.reproduce.data import ComparisonData, comparison_data
from training.reproduce.differences import group_lifts
from training.reproduce.endpoints import EcgScores
from training.reproduce.measure import measure, random_ranking
from training.reproduce.retrieved import ideal_ranking
from training.reproduce.seen import seen_by
from training.reproduce.sizes import Size
from training.reproduce.source_hash import source_sha256
from training.reproduce.table import (
    ArmResult,
    Comparison,
    Origin,
    write_comparison,
)
from training.reproduce.train_arm import train_arm
from training.reproduce.verdicts import verdicts

_STAMP = "comparison.json"
_SCORES = "ecgs.npz"


@contextmanager
def claimed(out: Path, origin: Origin) -> Iterator[None]:
    """The folder `out` for this comparison and this process alone, until the block ends.

    Refusal for a folder of another comparison or of something else, and while another process has it.
    """
    out.mkdir(parents=True, exist_ok=True)
    stamp = out / _STAMP
    if not stamp.exists():
        if any(out.iterdir()):
            raise Refusal(
                "folder_not_empty", f"{out.name} is not empty and holds no comparison; name a new or an empty folder"
            )
        write_whole(stamp, origin.model_dump_json(indent=2) + "\n")
    with open(stamp, encoding="utf-8") as held:
        if not hold(held):
            raise Refusal("folder_busy", f"another run is using {out.name}")
        _check_same(out, held.read(), origin)
        yield


def _check_same(out: Path, text: str, origin: Origin) -> None:
    try:
        theirs = Origin.model_validate_json(text).model_dump()
    except ValidationError:
        raise Refusal(
            "comparison_unreadable", f"{out.name} holds a comparison that cannot be read; name another folder"
        ) from None
    for name, ours in origin.model_dump().items():
        if theirs[name] != ours:
            what = name.replace("_", " ")
            raise Refusal(
                "comparison_of_another",
                f"{out.name} holds another comparison ({what} {theirs[name]} instead of {ours}); name another folder",
            )


def reproduce(
    cohort_dir: Path,
    size: Size,
    origin: Origin,
    out: Path,
    machine: Machine,
    *,
    seeds: int,
    ecg_start: Path | None = None,
) -> Comparison:
    """Trains and measures every arm of `size` with seeds 0 to `seeds` - 1, in the folder `out` that the caller claimed.

    ecg_start: a bundle whose ECG encoder every trained arm starts from, instead of random weights.
    The table is written anew after every arm, of what is finished by then. `out/arms/<arm>-<seed>` holds an arm: it is
    trained again when it is deleted.
    Raises CohortError or another Refusal that says what is wrong.
    """
    require_tensorboard()
    source = origin.source_sha256 or source_sha256()  # now: what is edited while the arms train, they are not made by
    finished = [r for seed in range(seeds) for arm in size.arms if (r := _finished(out, arm, seed, origin)) is not None]

    start = None
    if ecg_start is not None:
        start = bundle_ecg_encoder(ecg_start, read_manifest(ecg_start)[0], size.recipe)

    # One preparation of ECGs for all arms and seeds, and one echo encoder, with its vectors, for each way to teach it.
    @cache
    def data_of(taught_by: TaughtBy | None) -> ComparisonData:
        split = size.split if origin.cohort is None else None
        return comparison_data(cohort_dir, size.recipe.echo_taught_by(taught_by), out / "shared", machine, split)

    data = data_of(None)
    _check_groups(size, data)
    comparison = Comparison(
        origin=origin,
        counts=_counts(data),
        lvef_lowest_class_range=size.recipe.lvef_classes.ranges[0],
        seeds=seeds,
        random_ranking=random_ranking(data.test),
        ideal_ranking=ideal_ranking(data, size.recipe.ecg.rate_hz),
        arms=size.arms,
        results=tuple(finished),
    )
    write_comparison(comparison, out)

    # Every arm once with a seed before any has the next, so that an early table compares.
    done = {(result.arm, result.seed) for result in comparison.results}
    for seed in range(seeds):
        for arm in size.arms:
            if (arm, seed) in done:
                continue
            taught_by = ALIGNED[arm].taught_by if arm in ALIGNED else None
            named = machine.telling(_named(machine.progress, arm, seed))
            result = _trained_and_measured(arm, seed, size, data_of(taught_by), out, named, source, start)
            comparison = comparison.model_copy(update={"results": (*comparison.results, result)})
            write_comparison(comparison, out)
    if size.once:
        comparison = _concluded(comparison, data, out)
        write_comparison(comparison, out)
    return comparison


def _trained_and_measured(
    arm: Arm,
    seed: int,
    size: Size,
    data: ComparisonData,
    out: Path,
    machine: Machine,
    source: str,
    start: EcgEncoder | None,
) -> ArmResult:
    """One arm, as it is written into its folder, with what it made of every test ECG beside it."""
    started = time.monotonic()
    folder = _arm_folder(out, arm, seed)
    first = _result(out, arm, 0) if seed else None
    seen = seen_by(ALIGNED[arm], data, seed) if arm in ALIGNED else data
    temperature = None if first is None else first.temperature
    trained = train_arm(arm, seed, size, seen, folder, machine, temperature=temperature, start=start)
    measured = measure(trained, seen, data, size.recipe, machine.device)
    result = ArmResult(
        arm=arm,
        seed=seed,
        metrics=measured.metrics,
        epochs_run=0 if trained.fit is None else trained.fit.epochs_run,
        best_epoch=None if trained.fit is None else trained.fit.best_epoch,
        seconds=time.monotonic() - started,
        source_sha256=source,
        temperature=trained.temperature,
    )
    folder.mkdir(parents=True, exist_ok=True)
    measured.scores.save(folder / _SCORES)
    write_whole(folder / "result.json", result.model_dump_json(indent=2) + "\n")  # last: it says that all is there
    return result


def _concluded(comparison: Comparison, data: ComparisonData, out: Path) -> Comparison:
    """With verdicts and groups of patients, of all arms and seeds."""
    scores = {
        arm: [EcgScores.load(_arm_folder(out, arm, seed) / _SCORES) for seed in range(comparison.seeds)]
        for arm in comparison.arms
    }
    said = verdicts(scores, data.test, comparison.means(), comparison.ideal_ranking or {})
    return comparison.model_copy(update={"verdicts": said, "groups": group_lifts(scores, data.test)})


def _check_groups(size: Size, data: ComparisonData) -> None:
    """Before any arm is trained: CohortError where one must leave out patients and nobody says whom."""
    for arm in size.arms:
        if arm in ALIGNED and ALIGNED[arm].without_site is not None:
            seen_by(ALIGNED[arm], data, 0)


def _arm_folder(out: Path, arm: Arm, seed: int) -> Path:
    return out / "arms" / f"{arm}-{seed}"


def _result(out: Path, arm: Arm, seed: int) -> ArmResult | None:
    path = _arm_folder(out, arm, seed) / "result.json"
    return ArmResult.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def _finished(out: Path, arm: Arm, seed: int, origin: Origin) -> ArmResult | None:
    """Refusal for a result of other code, where the code is part of what the comparison is."""
    result = _result(out, arm, seed)
    if result is not None and origin.source_sha256 not in (None, result.source_sha256):
        raise Refusal(
            "result_of_other_code",
            f"{arm}, seed {seed} was made by code with source hash {result.source_sha256} and this is "
            f"{origin.source_sha256}; a protocol is run once, by one code: name another folder",
        )
    return result


def _named(progress: Progress, arm: Arm, seed: int) -> Progress:
    return lambda done, total, message: progress(done, total, f"{arm}, seed {seed}: {message}")


def _counts(data: ComparisonData) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, part in (("train", data.train), ("val", data.val), ("test", data.test)):
        counts |= {f"{name}_patients": part.patients, f"{name}_ecgs": len(part.pairs.signals_LN)}
        counts[f"{name}_studies"] = len(part.pairs.views_VD)
    return counts
