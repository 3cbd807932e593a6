"""The comparison as one table: what each finished arm scored, its mean over seeds and how far the seeds lie apart."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ground.disk import write_whole
from ground.findings import phenotype_of
from training.evaluation.metrics import ReportPart, Spread
from training.reproduce.arms import ALIGNED, Arm
from training.reproduce.differences import GroupLift
from training.reproduce.endpoints import FEW_LABELS, PHENOTYPES, QUESTIONS
from training.reproduce.measure import PROBES
from training.reproduce.verdicts import Verdict

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
_WHAT_THE_IDEAL_IS = (
    "The ideal ranking is by pointwise mutual information between the ECG's median beat and rhythm and perfect facts "
    "of the echo, taken as jointly Gaussian: about what a contrastive loss can reach; near it, a lift is at a ceiling. "
    "Each of its numbers is the larger one of two rankings, with rate and rhythm among the facts and without."
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
    ecg_start: str | None = None
    """The bundle that every trained arm's ECG encoder starts from; None: random weights."""
    source_sha256: str | None = None
    """Of all code behind the numbers, the simulator's too; None where other code may go on with the comparison."""

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


class Row(NamedTuple):
    """One number of every arm, in their order; None where an arm, chance or the ideal ranking has no such number."""

    label: str
    arms: list[Spread | None]
    chance: float | None
    ideal: float | None


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
    temperature: float | None = None
    """Of the contrastive loss; None of an arm that has none."""


class Comparison(ReportPart):
    """All finished arms. `counts` says how many ECGs, studies and patients trained, chose and tested."""

    origin: Origin
    counts: dict[str, int]
    lvef_lowest_class_range: str
    seeds: int
    random_ranking: dict[str, float]
    results: tuple[ArmResult, ...]
    arms: tuple[Arm, ...]
    ideal_ranking: dict[str, float] | None = None
    """None where the truth of the studies is not known."""
    verdicts: tuple[Verdict, ...] = ()
    """Of a protocol, when all its arms are finished; so are the groups."""
    groups: tuple[GroupLift, ...] = ()

    def spread(self, arm: Arm, metric: str) -> Spread | None:
        """None where the arm has no such number, or is not finished with any seed."""
        values = [r.metrics[metric] for r in self.results if r.arm == arm and metric in r.metrics]
        if not values:
            return None
        return Spread.of(values)

    def rows(self) -> list[Row]:
        """Of the table; without what no finished arm has, as not every cohort knows volumes."""
        chance, ideal = self.random_ranking, self.ideal_ranking or {}
        rows = [
            Row(label, [self.spread(arm, metric) for arm in self.arms], chance.get(metric), ideal.get(metric))
            for metric, label in metric_names(self.lvef_lowest_class_range).items()
        ]
        return [row for row in rows if any(row.arms) or row.chance is not None]

    def means(self) -> dict[Arm, dict[str, float]]:
        """Of each finished arm every number, on average over its seeds."""
        found: dict[Arm, dict[str, float]] = {}
        for arm in self.arms:
            names = {name for result in self.results if result.arm == arm for name in result.metrics}
            found[arm] = {name: spread.mean for name in sorted(names) if (spread := self.spread(arm, name))}
        return found

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
        notes += [f"{arm}: {ALIGNED[arm].says}." for arm in self.arms if arm in ALIGNED]
        start = self.origin.ecg_start
        notes += [f"Every trained arm's ECG encoder starts from the bundle {start}."] if start else []
        notes += [_WHAT_THE_IDEAL_IS] if self.ideal_ranking else []
        notes += self._temperatures()
        finished = {(r.arm, r.seed) for r in self.results}
        notes += self._sources()
        if missing := [
            f"{arm} {seed}" for seed in range(self.seeds) for arm in self.arms if (arm, seed) not in finished
        ]:
            notes.append(f"Not finished, and not in the table: {', '.join(missing)} (arm and seed).")
        return notes

    def _temperatures(self) -> list[str]:
        chosen = {r.arm: f"{r.arm} {r.temperature:g}" for r in self.results if r.temperature is not None}
        return [f"Temperatures of the loss: {', '.join(chosen.values())}."] if chosen else []

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
    few = {
        f"auroc_{probe}_{question}": f"AUROC {name}, {probe_name}"
        for question, name in QUESTIONS.items()
        for probe, probe_name in (("few", f"{FEW_LABELS} labels"), ("knn", "kNN"))
    }
    of_phenotypes = {
        f"{metric}_{phenotype}": f"{name}, like {phenotype_of(phenotype).short}"
        for metric, name in (("lift", "lift of precision@10"), ("precision_at_10", "precision@10"), ("map", "mAP"))
        for phenotype in PHENOTYPES
    }
    wholes = {
        "lift_mean": "lift of precision@10, mean of the phenotypes",
        "popularity_lift_mean": "the same, of the rankings of strangers",
        "own_in_first_tenth": "own study in the first tenth",
        "hub_share": "hub share",
        "participation_ratio": "directions of the studies' vectors",
        "auroc_mean": f"AUROC with {FEW_LABELS} labels and kNN, mean of all",
    }
    return wholes | of_phenotypes | probed | few


def as_markdown(comparison: Comparison) -> str:
    """A title, the table and its notes; of a protocol also what follows, and the lifts of groups of patients."""
    lines = [f"# Reproduction of the paper's comparison, size {comparison.origin.size}", ""]
    ideal = ["ideal ranking"] if comparison.ideal_ranking else []
    lines += _table(["", *comparison.arms, "random ranking", *ideal])
    for row in comparison.rows():
        cells = [row.label, *(_DASH if s is None else str(s) for s in row.arms), _number(row.chance)]
        lines += _line([*cells, _number(row.ideal)] if comparison.ideal_ranking else cells)
    lines += ["", *(f"- {note}" for note in comparison.notes())]
    if comparison.verdicts:
        lines += ["", "## Hypotheses and controls", "", *_table(["", "claim", "measured", "outcome"])]
        for verdict in comparison.verdicts:
            lines += _line([verdict.name, verdict.claim, "; ".join(verdict.measured) or _DASH, verdict.outcome])
    if comparison.groups:
        lines += ["", "## Mean lift by group of patients", "", *_table(["group", "ECGs", "patients", "arm", "lift"])]
        for group in comparison.groups:
            lift = _DASH if group.lift is None else str(group.lift)
            lines += _line([f"{group.column}: {group.group}", str(group.ecgs), str(group.patients), group.arm, lift])
    return "\n".join(lines) + "\n"


def _table(header: list[str]) -> list[str]:
    return [*_line(header), "|" + "---|" * len(header)]


def _line(cells: list[str]) -> list[str]:
    return ["| " + " | ".join(cells) + " |"]


def _number(value: float | None) -> str:
    return _DASH if value is None else f"{value:.3f}"


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """`table.md` for people and `table.json` for programs, each whole or not at all."""
    write_whole(folder / "table.md", as_markdown(comparison))
    write_whole(folder / "table.json", comparison.model_dump_json(indent=2) + "\n")
