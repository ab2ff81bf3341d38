"""FITS frames as they are stored: cards, header templates, pixels, and the way back to the very same file."""
