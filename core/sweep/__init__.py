"""Hyper-parameter sweeps over run files: each trial is a run, Ray Tune places and stops them.

`StudySearcher` (`core.sweep.searcher`) may be used in any Tune script.
"""
