"""Programs for the people who work on Darkroom; the application never imports them."""
