"""Tests of what a file of weights is recognised as."""
