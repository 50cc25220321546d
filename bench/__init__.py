"""Benchmarks: Fieldstone and the bare driver at the same work, in one run. ``python -m bench --help``."""
