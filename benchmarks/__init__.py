"""Figures, side by side in one run: each prints a table and, as its last line, one JSON object."""
