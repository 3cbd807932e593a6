"""An answer as others take it: its one shape, and the words for what it holds. Knows no web framework."""
