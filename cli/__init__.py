"""One table of commands. What needs several packages at once lives here."""
