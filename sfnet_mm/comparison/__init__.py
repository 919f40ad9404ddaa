"""Trains several configs under one budget and writes a table of their results."""
