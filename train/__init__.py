"""What is run to learn: one loop, one entry point per paper, flag files."""
