"""Downloads, on a hub of this machine's own."""
