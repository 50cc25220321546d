"""Many learners at once on one page of a course, over HTTP, and the proof that nothing they were told is lost."""
