"""Bulk work over learner state: many workers, killed at any point, end as one that was never disturbed."""
