"""The parts of `scripts/with_servers.py`. Standard library only."""
