"""Times warps and networks side by side, and writes the results as tables and plots."""
