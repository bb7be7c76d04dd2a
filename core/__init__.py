"""What everything needs: errors, typed options and their flags, files, rows, environment."""
