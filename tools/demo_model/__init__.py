"""The small demonstration model: its pictures, its captions and its training."""
