"""Writes ``docs/model_zoo.md``: the tables of the paper beside the models of this package."""
