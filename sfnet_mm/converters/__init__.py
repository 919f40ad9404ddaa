"""Published checkpoints of others, converted to the names of this package."""
