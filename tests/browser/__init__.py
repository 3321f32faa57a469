"""The real page in a real browser, with the real engine and the demo model."""
