"""Speed of warps and networks, side by side in one run, and what it is compared with."""
