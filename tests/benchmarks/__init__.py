"""The measurements of the engine, at the demo's size and without a card, so that they run when a card is there."""
