"""The tables of the paper beside what the configs of this package build: ``docs/model_zoo.md``."""
