"""Hints: which teacher layers to distil from, chosen by clustering them."""
