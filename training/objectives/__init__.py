"""What is learnt: one file per loss."""
