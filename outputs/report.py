"""The one shape of an answer: JSON, page and tables are renderings of it, and a client reads it back from JSON.

A required field is always there; one with a default of null is left out where there is nothing to say, never written as
null: write with `exclude_unset`. What is unknown of a study is null. Members that a newer service adds are passed over.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from inputs.records import Severity
from models.findings import Finding
from models.prediction_sets import CoverageKind
from outputs.narrowed import SearchFilters
from outputs.study import Neighbour
from outputs.words import flag_words


class LvefClass(BaseModel):
    label: str = Field(description="Its name.")
    range: str = Field(description="LVEF in percent.")
    probability: float = Field(description="0 to 1; those of all classes sum to 1.")
    base_rate: float | None = Field(default=None, description="How frequent it is among calibration patients.")


class _WithSet(BaseModel):
    """An answer as a set that holds the truth for a share `coverage` of patients. Absent where none was fitted."""

    prediction_set: list[str] | None = Field(default=None, description="Answers not ruled out; the one given is in.")
    coverage: float | None = Field(default=None, description="The share of patients whose set holds the truth.")
    coverage_kind: CoverageKind | None = Field(
        default=None,
        description="Of whom that share holds: of the patients of each class (per_class), of each but those in "
        "`overall_only` (mixed), or of all together (overall).",
    )
    overall_only: list[str] | None = Field(
        default=None, description="Classes with too few calibration patients for a promise of their own."
    )
    overall_set: list[str] | None = Field(
        default=None, description="The set that promises `coverage` of all patients together, beside one per class."
    )
    n_calibration: int | None = Field(default=None, description="Patients who decided how large the sets are.")


_UNDECIDED = "Absent beside an operating point: this model cannot tell, as below its threshold nothing is ruled out."


class OperatingPoint(BaseModel):
    """What calling above `threshold` brought on calibration patients; ppv, npv and echos_per_case at their prevalence.

    Absent where nobody, or everybody, is called.
    """

    threshold: float = Field(description="The probability from which on is called.")
    sensitivity: float = Field(description="Of those with it, the share that is called.")
    specificity: float = Field(description="Of those without it, the share that is not called.")
    ppv: float | None = Field(default=None, description="Of those called, the share that has it.")
    npv: float | None = Field(default=None, description="Of those not called, the share that has it not.")
    echos_per_case: float | None = Field(
        default=None, description="Echocardiograms made to find one case among those called."
    )
    n_cases: int = Field(description="Calibration patients with what is called.")
    n_others: int = Field(description="Calibration patients without it.")
    prevalence: float | None = Field(
        default=None, description="How frequent cases are where ppv, npv and echos_per_case hold."
    )


class LvefEstimate(BaseModel):
    """LVEF as a number, with an interval that holds the truth for a share `coverage` of patients."""

    percent: float = Field(description="The estimate.")
    low: float | None = Field(default=None, description="Where the interval begins, in percent.")
    high: float | None = Field(default=None, description="Where it ends, in percent.")
    coverage: float | None = Field(default=None, description="The share of patients whose interval holds the truth.")
    n_calibration: int | None = Field(default=None, description="Patients who decided how wide it is.")


class LvefPrediction(_WithSet):
    classes: list[LvefClass] = Field(description="From the lowest LVEF to the highest.")
    predicted: str = Field(description="The label of the most probable class.")
    estimate: LvefEstimate | None = Field(default=None, description="Absent where the bundle has no such number.")
    positive: bool | None = Field(default=None, description="Whether the lowest class is called. " + _UNDECIDED)
    operating_point: OperatingPoint | None = Field(default=None, description="Of calling the lowest class.")


def _words_of(validated: dict[str, Any]) -> str:
    return flag_words(validated["flag"])


class FlagPrediction(BaseModel):
    """One finding that makes a heart count as structurally diseased, from a probe of its own."""

    flag: str = Field(description="Its column in the tables of a cohort.")
    words: str = Field(default_factory=_words_of, description="The flag as a person says it.")
    probability: float = Field(description="0 to 1.")
    base_rate: float | None = Field(default=None, description="How often it is found among calibration patients.")
    finding: Finding | None = Field(
        default=None,
        description="By a rule stored in the bundle. `cannot_tell`: ECGs do not tell it well enough. "
        "Absent where the bundle has no rule.",
    )
    bound: Literal["at_most", "at_least"] | None = Field(
        default=None, description="Where the classes of LVEF set the probability: the most or the least they allow."
    )
    raised_ppv: float | None = Field(
        default=None, description="Of calibration patients who would be raised, the share that has it."
    )
    raised_sensitivity: float | None = Field(
        default=None, description="Of calibration patients who have it, the share that would be raised."
    )


class ShdPrediction(_WithSet):
    """Structural heart disease: any of the flags in /v1/info. A prediction set holds `negative`, `positive` or both."""

    probability: float = Field(description="0 to 1.")
    threshold: float = Field(description="The probability from which on the answer is yes.")
    positive: bool | None = Field(default=None, description="Whether the answer is yes. " + _UNDECIDED)
    base_rate: float | None = Field(default=None, description="How frequent it is among calibration patients.")
    operating_point: OperatingPoint | None = Field(default=None, description="Of saying yes.")
    flags: list[FlagPrediction] | None = Field(default=None, description="Those that the bundle has a probe for.")


class OodPrediction(BaseModel):
    """How unlike the ECGs of training this one is; the percentile is the share of held-out ECGs less unusual."""

    score: float = Field(description="The higher, the less usual; comparable within a bundle alone.")
    percentile: float = Field(description="0 to 100.")


class OwnPrediction(_WithSet):
    """A label that whoever fitted the bundle added: a yes or no with a probability, or a number with an interval."""

    label: str = Field(description="The column of the cohort that it was fitted on.")
    probability: float | None = Field(default=None, description="Of a yes; absent of a number.")
    positive: bool | None = Field(
        default=None, description="Whether the answer is yes; absent of a number. " + _UNDECIDED
    )
    base_rate: float | None = Field(default=None, description="How frequent yes is among calibration patients.")
    operating_point: OperatingPoint | None = Field(default=None, description="Of saying yes.")
    value: float | None = Field(default=None, description="In the unit of the column; absent of a yes or no.")
    low: float | None = Field(default=None, description="Where the interval of a number begins.")
    high: float | None = Field(default=None, description="`low` to `high` holds it for a share `coverage` of patients.")


class Predictions(BaseModel):
    lvef: LvefPrediction | None = Field(default=None, description="Absent where the bundle has no probe of it.")
    shd: ShdPrediction | None = Field(default=None, description="Absent where the bundle has no probe of it.")
    flags: list[FlagPrediction] | None = Field(
        default=None, description="Of a bundle with probes of flags and none of SHD as a whole."
    )
    own: list[OwnPrediction] | None = Field(default=None, description="Labels of whoever fitted the bundle.")
    not_predicted: list[str] | None = Field(default=None, description="Flags that the bundle has no probe for.")
    ood: OodPrediction | None = Field(default=None, description="Absent when the bundle cannot tell.")

    @property
    def findings(self) -> list[FlagPrediction]:
        """The flags, wherever they stand."""
        return (None if self.shd is None else self.shd.flags) or self.flags or []

    @property
    def tells_findings(self) -> bool:
        """Whether any flag is told by a rule."""
        return any(flag.finding is not None for flag in self.findings)


class DeviceMeasures(BaseModel):
    """As the device has them, by its own rules: QTc, for one, need not be by Fridericia. Absent is what it left out."""

    heart_rate_bpm: float | None = Field(default=None, description="Beats a minute.")
    pr_ms: float | None = Field(default=None, description="PR interval, in milliseconds.")
    qrs_ms: float | None = Field(default=None, description="QRS duration, in milliseconds.")
    qt_ms: float | None = Field(default=None, description="QT interval, in milliseconds.")
    qtc_ms: float | None = Field(default=None, description="QT corrected for the rate, in milliseconds.")
    p_axis_deg: float | None = Field(default=None, description="Axis of P, in degrees.")
    qrs_axis_deg: float | None = Field(default=None, description="Axis of QRS, in degrees.")
    t_axis_deg: float | None = Field(default=None, description="Axis of T, in degrees.")


class DeviceSaid(BaseModel):
    """What the electrocardiograph wrote into the file beside the signal: not checked here, and not seen by the model.

    Absent is what it did not write.
    """

    vendor: str | None = Field(default=None, description="Who made the device.")
    model: str | None = Field(default=None, description="Which one it is.")
    recorded_at: str | None = Field(
        default=None, description="ISO 8601 as the file has it, with a zone only where the file has one."
    )
    filters: list[str] | None = Field(default=None, description="Those it had applied.")
    measures: DeviceMeasures | None = Field(default=None, description="What it measured.")
    statements: list[str] | None = Field(default=None, description="Of its own interpretation, as they stand.")
    paced: bool | None = Field(default=None, description="Whether it saw a pacemaker.")


class LeadQuality(BaseModel):
    lead: str = Field(description="Its name.")
    codes: list[str] = Field(description="Of the warnings that name this lead; none where nothing is wrong with it.")


class SeenWindow(BaseModel):
    """A stretch that the model sees, from the start of the ECG without its padding."""

    start_s: float = Field(description="In seconds.")
    length_s: float = Field(description="In seconds.")


class EcgSummary(BaseModel):
    """The upload as it was understood."""

    format: str = Field(description="The kind of file.")
    rate_hz: float = Field(description="Samples per second, as recorded.")
    duration_s: float = Field(description="In seconds, without padding.")
    leads: list[str] = Field(description="As recorded, in the file's order.")
    resampled_to_hz: float = Field(description="Samples per second that the model sees.")
    sha256: str = Field(description="Of the uploaded file; of several, of their bytes one after another.")
    windows: list[SeenWindow] | None = Field(default=None, description="Absent in answers of earlier versions.")
    lead_quality: list[LeadQuality] | None = Field(
        default=None, description="Of the leads that the model sees. Absent in answers of earlier versions."
    )
    device_said: DeviceSaid | None = Field(
        default=None, description="Only where it is asked for, and the format has a place for it."
    )


class AnswerWarning(BaseModel):
    """Something to know of the ECG or its answer. `code` is stable.

    severity: `note` is good to know, `warning` may make the answer wrong, `withheld` forbids it.
    """

    code: str = Field(description="Stable, for programs.")
    message: str = Field(description="One sentence for a person.")
    leads: list[str] = Field(description="Those that it is about; empty where it is about all.")
    severity: Severity = Field(default="warning", description="How much it weighs.")
    hint: str | None = Field(default=None, description="What to do. Absent in answers of earlier versions.")


class Spread(BaseModel):
    """The middle of some studies: median, lower and upper quartile of the `n` whose value is known."""

    median: float = Field(description="In the unit of what is measured.")
    low: float = Field(description="Lower quartile.")
    high: float = Field(description="Upper quartile.")
    n: int = Field(description="How many are known.")


class Share(BaseModel):
    """The share, 0 to 1, of the `n` studies of which it is known."""

    share: float = Field(description="0 to 1.")
    n: int = Field(description="How many are known.")


class MeasurementSummary(BaseModel):
    """One measurement of the heart among the neighbours, beside the whole index."""

    name: str = Field(description="Its column in the tables of a cohort.")
    words: str = Field(description="As a person says it.")
    unit: str = Field(description="Of the numbers.")
    neighbours: Spread = Field(description="Of the studies found.")
    index: Spread = Field(description="Of the whole index.")


class ShdSummary(BaseModel):
    """Structural heart disease among the neighbours, beside the whole index."""

    neighbours: Share = Field(description="Of the studies found.")
    index: Share = Field(description="Of the whole index.")


class NeighbourSummary(BaseModel):
    """What the neighbours have in common: the most similar study of each patient counts. Absent is whatever fewer than
    three of these know."""

    studies: int | None = Field(default=None, description="Found.")
    patients: int | None = Field(default=None, description="Whose they are: so many studies count here.")
    lvef: MeasurementSummary | None = Field(default=None, description="In percent.")
    shd: ShdSummary | None = Field(default=None, description="How many have structural heart disease.")
    measurements: list[MeasurementSummary] | None = Field(default=None, description="Further ones.")

    @property
    def measured(self) -> list[MeasurementSummary]:
        """LVEF first."""
        return ([] if self.lvef is None else [self.lvef]) + (self.measurements or [])


class MeasuredEcg(BaseModel):
    """Read off the tracing, without any model. What cannot be relied on is absent and named in `not_reliable`."""

    heart_rate_bpm: float | None = Field(default=None, description="Beats a minute.")
    regular: bool | None = Field(default=None, description="Whether the beats come in even steps.")
    pr_ms: float | None = Field(default=None, description="PR interval, in milliseconds.")
    qrs_ms: float | None = Field(default=None, description="QRS duration, in milliseconds.")
    qt_ms: float | None = Field(default=None, description="To the end of T by the tangent: some 20 to 30 ms short.")
    qtc_ms: float | None = Field(default=None, description="QT corrected by Fridericia.")
    axis_deg: float | None = Field(default=None, description="Of QRS in the frontal plane.")
    not_reliable: list[str] = Field(description="Names of what was left out.")


class EcgAnswer(BaseModel):
    """What every answer to an ECG says."""

    request_id: str = Field(description="As in the header X-Request-ID and the service's log.")
    bundle: str = Field(description="The model that answered.")
    device: str = Field(description="What it ran on.")
    ecg: EcgSummary = Field(description="What was read of the upload.")
    warnings: list[AnswerWarning] = Field(description="What to know of the ECG and of the answer.")
    withheld: list[str] | None = Field(
        default=None,
        description="Codes of the warnings that forbid an answer: there are no predictions and no neighbours then, "
        "unless `quality=report` asked for them all the same; vectors are always given. Absent where there are none.",
    )
    timing_ms: dict[str, float] = Field(description="By stage, in milliseconds.")
    disclaimer: str = Field(description="What this software is not for.")

    @property
    def withheld_for(self) -> list[AnswerWarning]:
        """The warnings that forbid an answer."""
        return [warning for warning in self.warnings if warning.severity == "withheld"]

    @property
    def says_unusual(self) -> bool:
        """Whether a warning says already that the ECG is unlike those the model knows."""
        return any(warning.code == "unusual_ecg" for warning in self.warnings)


class _OfAModel(EcgAnswer):
    trained_on: str | None = Field(
        default=None,
        description="A sentence on whom the model was trained on, where that is simulated patients alone. Absent where "
        "the bundle does not say so, and in answers of earlier versions.",
    )
    bundle_lacks: list[str] | None = Field(
        default=None,
        description="Parts that no answer of this bundle has, in codes; /v1/info says them in a sentence. Absent where "
        "it lacks none, and in answers of earlier versions.",
    )


class SearchAnswer(_OfAModel):
    generation: str = Field(description="Of the index that was searched.")
    studies_simulated: bool | None = Field(
        default=None, description="True where the studies of the index are invented; absent where nobody says so."
    )
    measured: MeasuredEcg | None = Field(default=None, description="Absent in answers of earlier versions.")
    predictions: Predictions | None = Field(
        default=None, description="Absent where the answer is withheld, and when the bundle has no probes."
    )
    neighbours: list[Neighbour] | None = Field(default=None, description="Absent where the answer is withheld.")
    filters: SearchFilters | None = Field(default=None, description="Absent where none were asked.")
    neighbour_summary: NeighbourSummary | None = Field(
        default=None, description="Absent where fewer than three neighbours have anything known."
    )


class PredictAnswer(_OfAModel):
    measured: MeasuredEcg | None = Field(default=None, description="Absent in answers of earlier versions.")
    predictions: Predictions | None = Field(default=None, description="Absent where the answer is withheld.")


class EmbedAnswer(EcgAnswer):
    features: list[float] = Field(description="The encoder's features, which the probes use.")
    embedding: list[float] | None = Field(
        default=None, description="The unit vector that is searched with. Absent of a bundle that aligns nothing."
    )
