"""Where regions keep their entries: a module a kind of server."""
