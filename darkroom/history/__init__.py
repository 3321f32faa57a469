"""What was asked for and what came of it: rows in a database, pictures in a folder.

Must not know: the engine or the page.
"""
