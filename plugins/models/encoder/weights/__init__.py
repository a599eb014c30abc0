"""Trained weights by name: found in installed packages, checked, read."""
