"""Exports: saved, loaded, served; tiles; the bitstream's container."""
