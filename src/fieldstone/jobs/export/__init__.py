"""Rows beside the database: laid down in pieces, chunk by chunk, and put together to one file at the end."""
