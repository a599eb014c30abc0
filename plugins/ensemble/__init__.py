"""Weighted ensembles of teaching assistants."""
