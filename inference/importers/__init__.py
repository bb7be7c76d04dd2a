"""Official weights in."""
