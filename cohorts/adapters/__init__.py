"""Public data sets, and folders of anybody's, as cohorts. One data set, one file; each ends with its `DataSet`."""

from cohorts.adapters.base import DataSet, Skipped, Source
from cohorts.adapters.importing import Imported, import_cohort
from cohorts.adapters.ptb_xl import PTB_XL

DATA_SETS: tuple[DataSet, ...] = (PTB_XL,)
"""In the order in which help names them."""

__all__ = ["DATA_SETS", "DataSet", "Imported", "Skipped", "Source", "import_cohort"]
