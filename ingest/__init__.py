"""Turn raw files into an archive."""
