"""What everything stands on: errors, the domain's words, whole files and locks, safe letters, progress, packages."""
