"""Published weights, by the layout they are published in."""
