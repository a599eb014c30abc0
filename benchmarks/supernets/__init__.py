"""The supernet's figures on spoken digits, a module for each part.

A part gives a cell (plain data) for every seed, and makes a table of the cells of all seeds.
"""
