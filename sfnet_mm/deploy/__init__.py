"""Export, inference form and runtimes."""
