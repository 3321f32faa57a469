"""Everything about the text of a prompt and the choices around it, before it becomes a request.

Must not know: torch, pages, jobs or rows.
"""
