"""Options of the measurements and of the papers' reports."""
