"""Public data sets, and folders of anybody's, as cohorts. One data set, one file; each ends with its `DataSet`."""

from cohorts.adapters.base import DataSet, Skipped, Source
from cohorts.adapters.camus import CAMUS
from cohorts.adapters.code15 import CODE_15
from cohorts.adapters.echonet_dynamic import ECHONET_DYNAMIC
from cohorts.adapters.echonext import ECHONEXT
from cohorts.adapters.folder import FOLDER
from cohorts.adapters.importing import Imported, import_cohort
from cohorts.adapters.mimic_iv import MIMIC_IV
from cohorts.adapters.ptb_xl import PTB_XL
from cohorts.adapters.uk_biobank import UK_BIOBANK
from cohorts.adapters.vectors import VECTORS
from cohorts.columns import nearest
from cohorts.tables import CohortError

DATA_SETS: tuple[DataSet, ...] = (
    MIMIC_IV,
    ECHONEXT,
    PTB_XL,
    CODE_15,
    ECHONET_DYNAMIC,
    CAMUS,
    UK_BIOBANK,
    FOLDER,
    VECTORS,
)
"""In the order in which help names them."""


def data_set_named(name: str) -> DataSet:
    """One of `DATA_SETS`. Raises CohortError that names the nearest, and all."""
    for data_set in DATA_SETS:
        if data_set.name == name.lower():
            return data_set
    known = [data_set.name for data_set in DATA_SETS]
    hint = f"{nearest(name, known, '')} KIND is one of {', '.join(known)}.".lstrip()
    raise CohortError("data_set_unknown", "There is no data set of that name.", hint=hint)


__all__ = ["DATA_SETS", "VECTORS", "DataSet", "Imported", "Skipped", "Source", "data_set_named", "import_cohort"]
