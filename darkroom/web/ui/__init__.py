"""The page's parts: one file per part, each with a function that builds it. Must not know: routes."""
