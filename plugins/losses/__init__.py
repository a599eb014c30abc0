"""Distillation losses, each a small module with its adapter."""
