"""Holds what several parts share."""
