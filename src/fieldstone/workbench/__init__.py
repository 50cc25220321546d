"""The workbench: a course of real XBlocks in the browser, and what learners do in it, kept."""
