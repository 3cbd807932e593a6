"""The paper's comparison, told from a cohort folder to one table.

Whoever calls it gives the cohort: training knows no simulator. What is finished in the folder is found again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from ground.disk import hold, write_whole
from ground.errors import Refusal
from ground.progress import Progress
from models.device import Machine
from training.engine.run_log import require_tensorboard
from training.reproduce.arms import ARMS, Arm, train_arm
from training.reproduce.data import ComparisonData, comparison_data
from training.reproduce.measure import measure, random_ranking
from training.reproduce.sizes import Size
from training.reproduce.source_hash import source_sha256
from training.reproduce.table import (
    ArmResult,
    Comparison,
    Origin,
    write_comparison,
)

_STAMP = "comparison.json"


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
) -> Comparison:
    """Trains and measures every arm with the seeds 0 to `seeds` - 1 in the folder `out`; returns what the table says.

    The table is written anew after every arm, of what is finished by then. `out/arms/<arm>-<seed>` holds an arm: it is
    trained again when it is deleted.
    Raises CohortError or another Refusal that says what is wrong.
    """
    require_tensorboard()
    source = source_sha256()  # now: what is edited while the arms train, they are not made by

    # One echo encoder, one preparation of ECGs, one set of view vectors for all arms and seeds.
    data = comparison_data(cohort_dir, size.recipe, out / "shared", machine)
    comparison = Comparison(
        origin=origin,
        counts=_counts(data),
        lvef_lowest_class_range=size.recipe.lvef_classes.ranges[0],
        seeds=seeds,
        random_ranking=random_ranking(data.test),
        results=tuple(r for seed in range(seeds) for arm in ARMS if (r := _finished(out, arm, seed)) is not None),
    )
    write_comparison(comparison, out)

    # Every arm once with a seed before any has the next, so that an early table compares.
    done = {(result.arm, result.seed) for result in comparison.results}
    for seed in range(seeds):
        for arm in ARMS:
            if (arm, seed) in done:
                continue
            named = machine.telling(_named(machine.progress, arm, seed))
            result = _trained_and_measured(arm, seed, size, data, _arm_folder(out, arm, seed), named, source)
            comparison = comparison.model_copy(update={"results": (*comparison.results, result)})
            write_comparison(comparison, out)
    return comparison


def _trained_and_measured(
    arm: Arm, seed: int, size: Size, data: ComparisonData, folder: Path, machine: Machine, source: str
) -> ArmResult:
    """One arm, as it is written into `folder`."""
    started = time.monotonic()
    trained = train_arm(arm, seed, size, data, folder, machine)
    result = ArmResult(
        arm=arm,
        seed=seed,
        metrics=measure(trained, data, size.recipe, machine.device),
        epochs_run=0 if trained.fit is None else trained.fit.epochs_run,
        best_epoch=None if trained.fit is None else trained.fit.best_epoch,
        seconds=time.monotonic() - started,
        source_sha256=source,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "result.json", result.model_dump_json(indent=2) + "\n")
    return result


def _arm_folder(out: Path, arm: Arm, seed: int) -> Path:
    return out / "arms" / f"{arm}-{seed}"


def _finished(out: Path, arm: Arm, seed: int) -> ArmResult | None:
    path = _arm_folder(out, arm, seed) / "result.json"
    return ArmResult.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def _named(progress: Progress, arm: Arm, seed: int) -> Progress:
    return lambda done, total, message: progress(done, total, f"{arm}, seed {seed}: {message}")


def _counts(data: ComparisonData) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, part in (("train", data.train), ("val", data.val), ("test", data.test)):
        counts |= {f"{name}_patients": part.patients, f"{name}_ecgs": len(part.pairs.signals_LN)}
        counts[f"{name}_studies"] = len(part.pairs.views_VD)
    return counts
