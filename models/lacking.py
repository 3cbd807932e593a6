"""What the answers of a bundle lack, and whom it was not trained on: the one place that knows, and the sentences.

A bundle lacks what was not known when its probes were fitted, or what its cohort had too few patients for. Knows no
torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import JsonValue

from ground.findings import FLAGS_ABOUT_LVEF

if TYPE_CHECKING:
    from models.probes import Probes

Lacking = Literal[
    "predictions",
    "lvef",
    "shd",
    "lvef_number",
    "lvef_interval",
    "findings",
    "lvef_flag_bounds",
    "lvef_sets",
    "shd_sets",
    "lvef_class_sets",
    "shd_class_sets",
    "lvef_operating_point",
    "shd_operating_point",
    "unusual",
]
"""Stable codes, in the order in which they are said."""

SIMULATED_ONLY = "This model was trained on simulated hearts only: for a real patient these numbers are for show."

_WORDS: tuple[tuple[str, tuple[Lacking, ...]], ...] = (
    ("predictions", ("predictions",)),
    ("predictions of LVEF", ("lvef",)),
    ("predictions of SHD", ("shd",)),
    ("LVEF number", ("lvef_number",)),
    ("interval of the LVEF number", ("lvef_interval",)),
    ("rules for findings", ("findings",)),
    ("bounds of the LVEF flag by the LVEF classes", ("lvef_flag_bounds",)),
    ("prediction sets", ("lvef_sets", "shd_sets")),
    ("sets within classes", ("lvef_class_sets", "shd_class_sets")),
    ("operating points", ("lvef_operating_point", "shd_operating_point")),
    ("measure of how unusual an ECG is", ("unusual",)),
)
"""In the words of an answer; where two questions may lack a part, LVEF first."""


def lacking_parts(probes: Probes | None) -> tuple[Lacking, ...]:
    """Without probes the predictions, and no more is said. A part of a part is lacking only where that is there."""
    if probes is None:
        return ("predictions",)
    lvef, shd, flags = probes.lvef, probes.shd, probes.flags
    lacks: dict[Lacking, bool] = {"lvef": lvef is None, "shd": shd is None}
    if lvef is not None:
        lacks |= {"lvef_number": lvef.number is None}
        lacks |= {"lvef_interval": lvef.number is not None and lvef.number.interval is None}
    if lvef is not None and shd is not None:
        lacks |= {"findings": all(flag.rule is None for flag in flags.values())}
    if lvef is not None:
        about = [flag for name, flag in flags.items() if name in FLAGS_ABOUT_LVEF]
        lacks |= {
            "lvef_flag_bounds": any(flag.lvef_classes is None for flag in about),
            "lvef_sets": lvef.sets is None and lvef.per_class_sets is None,
            "lvef_class_sets": lvef.sets is not None and lvef.per_class_sets is None,
            "lvef_operating_point": lvef.operating_point is None,
        }
    if shd is not None:
        lacks |= {
            "shd_sets": shd.sets is None and shd.per_class_sets is None,
            "shd_class_sets": shd.sets is not None and shd.per_class_sets is None,
            "shd_operating_point": shd.operating_point is None,
        }
    lacks |= {"unusual": probes.ood is None}
    return tuple(part for part in get_args(Lacking) if lacks.get(part))


def lacking_sentence(parts: Collection[str]) -> str:
    """One short sentence on parts that are lacking; codes of a newer service are said as they are."""
    said = [words for words in (_words(what, codes, parts) for what, codes in _WORDS) if words is not None]
    known = {code for _, codes in _WORDS for code in codes}
    said += [f"no {part.replace('_', ' ')}" for part in parts if part not in known]
    listed = " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
    return f"This bundle gives {listed}; fit its probes again, on enough patients, with `echo2ecg bundle fit`."


NO_PREDICTIONS_YET = "No predictions yet: run `echo2ecg bundle fit` on a cohort with labels."
"""Of a bundle that was imported: an ECG encoder without probes."""


def trained_on_sentence(training_data: Mapping[str, JsonValue]) -> str | None:
    """That neither encoders nor probes have seen a real patient; None where the manifest does not say so."""
    probes = training_data.get("probes")
    apart = isinstance(probes, dict) and probes.get("cohort_of_the_encoders") is not True
    cohorts = [training_data, probes] if apart and isinstance(probes, dict) else [training_data]
    return SIMULATED_ONLY if all(_has_simulator_notice(cohort) for cohort in cohorts) else None


def _has_simulator_notice(cohort: Mapping[str, JsonValue]) -> bool:
    """A real cohort may have a notice too, of its terms: the simulator's stands beside its version."""
    return {"notice", "simulator_version"} <= cohort.keys()


def _words(what: str, codes: tuple[Lacking, ...], parts: Collection[str]) -> str | None:
    missing = [code for code in codes if code in parts]
    if not missing:
        return None
    of_one = "" if len(missing) == len(codes) else f" of {missing[0].split('_')[0].upper()}"
    return f"no {what}{of_one}"
