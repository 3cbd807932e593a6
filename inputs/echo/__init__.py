"""Echo clips to prepared arrays."""
