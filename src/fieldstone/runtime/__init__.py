"""A runtime for XBlocks: courses in OLX, their blocks, and the learner's fields in the store."""
