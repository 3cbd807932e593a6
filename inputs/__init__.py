"""One outside file to checked arrays: reading, then preparing. Knows numpy; knows neither torch nor the web."""
