"""What a picture file says about itself, in our words and in those of other tools."""
