"""Options of the commands that turn files into files."""
