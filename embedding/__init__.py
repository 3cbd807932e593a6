"""Files to vectors, once and for all: what training, the index rebuild and `embed` share."""
