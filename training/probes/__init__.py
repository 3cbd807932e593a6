"""Linear probes on frozen features and what makes their probabilities honest."""
