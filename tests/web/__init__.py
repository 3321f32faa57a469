"""The page's routes, words and form, without a browser."""
