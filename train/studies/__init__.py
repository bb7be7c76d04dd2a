"""Many trainings, one after the other."""
