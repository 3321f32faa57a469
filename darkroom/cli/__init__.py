"""Darkroom from a terminal: pictures and models by command, for people and for scripts."""
