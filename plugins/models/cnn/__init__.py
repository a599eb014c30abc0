"""Convolutional networks over frames or images: plain network, elastic twin, costs, family."""
