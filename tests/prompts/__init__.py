"""Tests of darkroom/prompts."""
