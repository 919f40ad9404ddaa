"""Measurements of a machine: the steps of the GPU report and the programs that they run."""
