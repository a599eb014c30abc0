"""Taps, losses, and the training loop.

Import the modules directly: `stillhouse.core.evaluate` reads `taps` from here while the training
loop reads states from there, so re-exporting the loop would close a circle.
"""
