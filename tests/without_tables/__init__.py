"""Migrations of an application whose tables no test asks for."""
