"""Routes of our own, beside Gradio's: one file per noun."""
