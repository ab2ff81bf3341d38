"""Checking an archive and mending it: what is there against what was recorded, and the way back."""
