"""What image files are made of: kinds that are read right, containers, color profiles."""
