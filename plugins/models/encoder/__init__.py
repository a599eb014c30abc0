"""Transformer encoders of every shape: plain network, elastic twin, costs, families."""
