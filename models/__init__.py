"""Arrays to embeddings and probabilities: encoders, aligned towers, probes, bundles. Knows nothing of files it did not write."""
