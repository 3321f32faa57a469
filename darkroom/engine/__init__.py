"""The only room that imports torch and DiffSynth; runs in the engine process.

Knows nothing of pages, rows or files of history.
"""
