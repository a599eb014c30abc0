"""The spoken-digits contest: a clock, the contestants, and the answer each had at a given time.

Charged to stillhouse: everything from its cost stage to its report. Charged to Optuna: training
and validating its candidates, nothing else. Both hand in, at each time, the best by validation that
meets every limit when its artefact is measured; test accuracies are computed after the clocks.
"""
