"""Constrained test problems, who competes on them, and how the result is scored."""
