"""Outside files to checked arrays: reading, then preparing. Knows numpy; knows neither torch nor the web."""
