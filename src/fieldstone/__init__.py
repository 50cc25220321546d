"""Fieldstone keeps learner state: fields of places, for learners, with every earlier state."""

__version__ = "0.1.0"
