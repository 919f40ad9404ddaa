"""Converts published checkpoints of others to the names of this package."""
