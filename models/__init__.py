"""Arrays to embeddings and probabilities: encoders, aligned towers, probes and the bundles that hold them."""
