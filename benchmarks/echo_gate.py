"""Whether the view vectors of a bundle's echo encoder are fit to be aligned: five numbers beside their gates.

    python -m benchmarks.echo_gate COHORT BUNDLE [--work FOLDER] [--out FILE] [--device cpu]
    python -m benchmarks.echo_gate COHORT --train protocol --work FOLDER [--out FILE] [--device cpu]

COHORT is a simulated one: LVEF and infarcts are its `truth.csv`. BUNDLE may be that of an unfinished run, in
OUT.work/echo-*/bundle; without one, the echo encoder of that size of the comparison is trained first. What has to be
fitted is fitted on the train patients, and all is measured on the val patients.
FOLDER keeps vectors and may be the work folder of the run. Ends with 1 where a gate is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from cli.console import progress
from cohorts import Cohort, open_cohort
from embedding.prepared import clip_store_name
from embedding.store import ArrayStore
from ground.disk import write_whole
from ground.errors import Refusal
from models.bundle import Bundle
from models.device import Machine
from training.data.cohort_arrays import clip_views
from training.evaluation.view_gate import Gate, StudyViews, view_gate
from training.reproduce.data import shared_echo_encoder
from training.reproduce.sizes import SIZES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--train", choices=SIZES)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if (options.bundle is None) == (options.train is None):
        parser.error("name a bundle, or what to train")
    if options.train is not None and options.work is None:
        parser.error("--train needs --work")
    try:
        with progress("Echo encoder", goes_on=True) as told:
            machine = Machine.named(options.device, progress=told)
            cohort = open_cohort(options.cohort).tables
            bundle_dir = options.bundle or trained(cohort, options.train, options.work, machine)
        bundle = Bundle.load(bundle_dir, device=str(machine.device), parts=("echo",))
        truth = truth_of_studies(options.cohort)
        train, val = (study_views(bundle, cohort, split, truth, options.work, machine) for split in ("train", "val"))
    except Refusal as refusal:
        sys.exit(refusal.in_full)
    gates = view_gate(train, val)
    print(
        f"{bundle.id}: {len(val.vectors_ND)} views of {len(val.lvef_S)} val studies, {len(train.lvef_S)} train studies"
    )
    print_gates(gates)
    if options.out is not None:
        values = [gate.model_dump() | {"passed": gate.passed} for gate in gates]
        counts = {"val_views": len(val.vectors_ND), "val_studies": len(val.lvef_S), "train_studies": len(train.lvef_S)}
        report = {"bundle": bundle.id, "cohort": cohort.root.name, **counts, "gates": values}
        write_whole(options.out, json.dumps(report, indent=2) + "\n")
    sys.exit(0 if all(gate.passed for gate in gates) else 1)


def trained(cohort: Cohort, size: str, work: Path, machine: Machine) -> Path:
    """The bundle of the echo encoder that all arms of a comparison of this size would share."""
    recipe = SIZES[size]().recipe
    work.mkdir(parents=True, exist_ok=True)
    with ArrayStore(work / clip_store_name(recipe.echo), np.uint8) as decoded:
        return shared_echo_encoder(cohort, recipe, work, decoded, machine)


def truth_of_studies(cohort_dir: Path) -> pd.DataFrame:
    """`lvef_percent` and `infarct` of the moments of studies and ECGs, by their id. Refusal where nobody says them."""
    try:
        truth = pd.read_csv(cohort_dir / "truth.csv", dtype={"record": str, "lvef_percent": float, "infarct": str})
        return truth.set_index("record")[["lvef_percent", "infarct"]]
    except (OSError, KeyError, ValueError) as error:
        sentence = "The cohort has no truth.csv with record, lvef_percent and infarct"
        raise Refusal("truth_missing", f"{sentence}; only a simulated one is measured.") from error


def study_views(
    bundle: Bundle, cohort: Cohort, split: str, truth: pd.DataFrame, work: Path | None, machine: Machine
) -> StudyViews:
    """Of the studies of a split's patients that have a readable clip."""
    studies = cohort.studies.loc[cohort.studies["patient_id"].isin(cohort.patients(split)), "study_id"]
    vectors, _ = clip_views(bundle, cohort, studies, work, machine)
    if not vectors:
        raise Refusal("no_clips", f"No clip of the {split} patients can be read.")
    clips = cohort.echos.loc[[*vectors]]
    study_N, study_ids = pd.factorize(clips["study_id"])
    told = truth.reindex(study_ids)
    return StudyViews(
        np.stack([*vectors.values()]),
        clips["view"].to_numpy(np.str_) if "view" in clips else np.full(len(clips), ""),
        study_N.astype(np.int64),
        told["lvef_percent"].to_numpy(np.float64),
        told["infarct"].fillna("").replace("none", "").to_numpy(np.str_),
    )


def print_gates(gates: tuple[Gate, ...]) -> None:
    for gate in gates:
        wanted = f"at least {gate.at_least:g}" if gate.at_most is None else f"{gate.at_least:g} to {gate.at_most:g}"
        value = "not measured" if gate.value is None else f"{gate.value:.3f}"
        verdict = "pass" if gate.passed else "miss"
        print(f"{gate.measure:40}{value:>13}   {wanted:14} {verdict}{f'   ({gate.of})' if gate.of else ''}")


if __name__ == "__main__":
    main()
