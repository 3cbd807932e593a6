"""A cohort folder to a model bundle: pairs, batches, loss, loop, evaluation, probes."""
