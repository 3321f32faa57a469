"""LoRA files as files: what lies in the folders, what each says of itself, and which model it is for.

Must not know: torch, how a LoRA is attached, pages or rows.
"""
