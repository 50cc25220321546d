"""Jobs over an exam of many learners: how fast, in how much memory, and what is left when everything fails."""
