"""Encoders of transformers: read into plain networks, written from them."""
