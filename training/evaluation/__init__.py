"""How well a bundle does, on how many and how sure."""
