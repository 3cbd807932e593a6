"""One reader per container of echo clips."""
