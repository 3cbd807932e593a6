"""What an examination consists of: which views are recorded, how often, in the order of the examination.

Nothing of the patient is looked at: which clips a study has, and how many, says nothing of disease.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

FEWEST_CLIPS, MOST_CLIPS = 15, 25


@dataclass(frozen=True)
class Habit:
    """How often laboratories record a view.

    chance: that a study has it. extra: the mean number of further ones where it does (Poisson).
    whole_lv: whether the left ventricle is seen along its whole length, or round its whole ring.
    """

    chance: float
    extra: float = 0.0
    whole_lv: bool = False

    @property
    def clips(self) -> float:
        """Mean number of clips a study."""
        return self.chance * (1.0 + self.extra)


HABITS: dict[str, Habit] = {
    "PLAX": Habit(0.95, 0.10, whole_lv=True),
    "PLAX_COLOUR": Habit(0.58, whole_lv=True),
    "AV_ZOOM": Habit(0.80, 0.45),
    "MV_ZOOM": Habit(0.75, 0.40),
    "PSAX_BASE": Habit(0.82, 0.15),
    "PSAX_COLOUR": Habit(0.75, 0.10),
    "PSAX": Habit(0.90, 0.10, whole_lv=True),
    "PSAX_APEX": Habit(0.30, whole_lv=True),
    "A4C": Habit(0.96, 0.12, whole_lv=True),
    "A4C_COLOUR": Habit(0.68, whole_lv=True),
    "OFF_AXIS": Habit(0.90, 1.20),
    "A4C_RV": Habit(0.75, 0.20),
    "A2C": Habit(0.82, 0.12, whole_lv=True),
    "A2C_COLOUR": Habit(0.22, whole_lv=True),
    "A3C": Habit(0.68, 0.10, whole_lv=True),
    "A3C_COLOUR": Habit(0.30, whole_lv=True),
    "SUBCOSTAL": Habit(0.62, 0.15),
    "IVC": Habit(0.72, 0.25),
    "SUPRASTERNAL": Habit(0.40, 0.10),
    "CW_TRICUSPID": Habit(0.70),
    "CW_AORTIC": Habit(0.60),
    "PW_MITRAL": Habit(0.72),
}
"""In the order of the examination. CW and PW are spectral stills, which no reader of clips takes for one.

A reading of published counts, not a table of anybody's: MIMIC-IV-ECHO holds more than 500,000 files of 7,243 studies
(72 each), ECHOVIEW 29,196 of 717 (41), EchoPrime 12 million videos of 275,442 (44), and of those the larger part are
zooms, Doppler, veins and planes beside the standard ones. Here a study has a third of their number for the sake of
cost, and six of ten clips show no whole left ventricle. Fixed before any model was trained on it; not to be tuned.
"""


def choose_views(rng: Generator) -> tuple[str, ...]:
    """The views of one study, 15 to 25 of them, a view once for each clip of it. There is always a PLAX or an A4C."""
    while True:
        views: list[str] = []
        for view, habit in HABITS.items():
            present, further = rng.random() < habit.chance, int(rng.poisson(habit.extra))
            views.extend([view] * (1 + further) if present else [])
        if FEWEST_CLIPS <= len(views) <= MOST_CLIPS and not {"PLAX", "A4C"}.isdisjoint(views):
            return tuple(views)
