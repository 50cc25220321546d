"""The tables of problem_builder in one step: its own steps ask the default database, whichever is migrated."""
