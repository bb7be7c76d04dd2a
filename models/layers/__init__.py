"""Parts of several networks."""
