"""Cells to tables, figures, claims and pages."""
