"""An invented cohort with known truth, written as ordinary files. Nothing here comes from a patient."""
