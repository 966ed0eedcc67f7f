"""Measured claims: each file prints its ratios against a plain script, in one run, and keeps them in results/."""
