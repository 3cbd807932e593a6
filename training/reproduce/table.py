"""The comparison as one table: what each finished arm scored, its mean over seeds and how far the seeds lie apart."""

from __future__ import annotations

from pathlib import Path

from ground.disk import write_whole
from ground.findings import LV_PHENOTYPES, phenotype_of
from training.evaluation.metrics import ReportPart, Spread
from training.reproduce.arms import ARMS, Arm
from training.reproduce.measure import PROBES

_DASH = "–"
_WHAT_THE_INTERVAL_IS = (
    "Each cell: the mean over seeds, and the lowest and the highest seed. That interval shows what the randomness of "
    "training does, not what other patients would give."
)
_WHAT_RETRIEVAL_IS = (
    "Retrieval goes from ECG to study, within half a standard deviation of the phenotype, the query's own patient left "
    f"out. {_DASH}: an arm that is not aligned with echo cannot retrieve studies."
)
_WHICH_LABELS_ARE_SEEN = (
    "The echo encoder of the aligned arms is one, trained once (seed 0) on the train patients' clips to regress LVEF, "
    "volumes and measurements or, where the cohort says it, what each clip shows; the supervised arm sees LVEF classes "
    "and SHD alone, the masked arm no label."
)
_WHAT_THE_MASKED_ARM_HAS_OF_ITS_OWN = (
    "The masked arm alone has its mask instead of the augmentation, one learning rate for all layers, weight decay on "
    "matrices only and float32 whatever the others compute in."
)
_PROBE_NAMES = {"knn": "kNN", "linear": "linear probe"}


class Origin(ReportPart):
    """What a comparison is of. Two folders with the same origin hold the same comparison."""

    size: str
    patients: int
    cohort_seed: int | None
    """None, as the simulator's version may be, where a cohort was given."""
    simulator_version: str | None
    code_version: str
    settings_sha256: str
    cohort: str | None = None
    """The name of the folder of a cohort that was given, and a hash that tells it apart; None of one that was simulated
    for the comparison."""
    cohort_sha256: str | None = None

    @property
    def cohort_sentence(self) -> str:
        """Whose ECGs and echos the table is of."""
        made = f"code version {self.code_version}, settings {self.settings_sha256}."
        if self.cohort is None:
            version, seed = self.simulator_version, self.cohort_seed
            return f"{self.patients} simulated patients (simulator version {version}, seed {seed}); {made}"
        of = f"{self.patients} patients of the cohort {self.cohort} (sha256 {(self.cohort_sha256 or '')[:12]}"
        invented = f", invented by simulator version {self.simulator_version}" if self.simulator_version else ""
        return f"{of}{invented}); {made}"


class ArmResult(ReportPart):
    """One arm with one seed, measured on the test patients."""

    arm: Arm
    seed: int
    metrics: dict[str, float]
    epochs_run: int
    best_epoch: int | None
    """Counted from 0; None for the encoder that was not trained."""
    seconds: float
    """Of the run that finished it, training and measuring."""
    source_sha256: str | None = None
    """Of the code of the run that finished it; None in results from before this was written down."""


class Comparison(ReportPart):
    """All finished arms. `counts` says how many ECGs, studies and patients trained, chose and tested."""

    origin: Origin
    counts: dict[str, int]
    lvef_lowest_class_range: str
    seeds: int
    random_ranking: dict[str, float]
    results: tuple[ArmResult, ...]

    def spread(self, arm: Arm, metric: str) -> Spread | None:
        """None where the arm has no such number, or is not finished with any seed."""
        values = [r.metrics[metric] for r in self.results if r.arm == arm and metric in r.metrics]
        if not values:
            return None
        return Spread.of(values)

    def rows(self) -> list[tuple[str, list[Spread | None], float]]:
        """Of the table: what was measured, each arm's spread in the order of ARMS, and what chance gives."""
        names = metric_names(self.lvef_lowest_class_range)
        return [
            (label, [self.spread(arm, metric) for arm in ARMS], self.random_ranking[metric])
            for metric, label in names.items()
            if metric in self.random_ranking  # not every cohort knows volumes
        ]

    def notes(self) -> list[str]:
        """What a reader of the table must know, what is not equal between the arms included."""
        counts = self.counts
        used = [
            f"{purpose}: {counts[f'{part}_ecgs']} ECGs and {counts[f'{part}_studies']} studies of "
            f"{counts[f'{part}_patients']} patients."
            for part, purpose in (
                ("train", "Trained on"),
                ("val", "Epochs and probes chosen on"),
                ("test", "Measured on"),
            )
        ]
        fairness = (_WHICH_LABELS_ARE_SEEN, _WHAT_THE_MASKED_ARM_HAS_OF_ITS_OWN)
        notes = [self.origin.cohort_sentence, *used, _WHAT_THE_INTERVAL_IS, _WHAT_RETRIEVAL_IS, *fairness]
        finished = {(r.arm, r.seed) for r in self.results}
        notes += self._sources()
        if missing := [f"{arm} {seed}" for seed in range(self.seeds) for arm in ARMS if (arm, seed) not in finished]:
            notes.append(f"Not finished, and not in the table: {', '.join(missing)} (arm and seed).")
        return notes

    def _sources(self) -> list[str]:
        arms_of: dict[str, list[str]] = {}
        for result in self.results:
            arms_of.setdefault(result.source_sha256 or "unknown", []).append(f"{result.arm} {result.seed}")
        if len(arms_of) < 2:
            return [f"All arms were made by the code with source hash {source}." for source in arms_of]
        made = "; ".join(f"source hash {source} made {', '.join(arms)}" for source, arms in arms_of.items())
        return [f"Not all arms were made by the same code: {made} (arm and seed)."]


def metric_names(lvef_lowest_class_range: str) -> dict[str, str]:
    """The rows of the table: names of `training.reproduce.measure.measure` and what a person calls them."""
    questions = {"lvef_lowest": f"LVEF {lvef_lowest_class_range}", "lvef_classes": "LVEF classes (mean)", "shd": "SHD"}
    probed = {
        f"auroc_{probe}_{question}": f"AUROC {name}, {_PROBE_NAMES[probe]}"
        for question, name in questions.items()
        for probe in PROBES
    }
    return probed | {
        f"{metric}_{phenotype}": f"{name}, like {phenotype_of(phenotype).short}"
        for metric, name in (("precision_at_10", "precision@10"), ("map", "mAP"))
        for phenotype in LV_PHENOTYPES
    }


def as_markdown(comparison: Comparison) -> str:
    """A title, the table and its notes."""
    header = ["", *ARMS, "random ranking"]
    lines = [f"# Reproduction of the paper's comparison, size {comparison.origin.size}", ""]
    lines += ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for label, spreads, chance in comparison.rows():
        cells = [label, *(_DASH if s is None else str(s) for s in spreads), f"{chance:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in comparison.notes())]) + "\n"


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """`table.md` for people and `table.json` for programs, each whole or not at all."""
    write_whole(folder / "table.md", as_markdown(comparison))
    write_whole(folder / "table.json", comparison.model_dump_json(indent=2) + "\n")
