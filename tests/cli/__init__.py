"""Commands, as a person or a script types them."""
