"""Measurements anyone can repeat. Their results stand in docs/benchmarks*.md, each with the command that gave it."""
