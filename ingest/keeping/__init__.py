"""Keeping an archive: small granules merged, spans removed or replaced, metadata corrected, tags, garbage collected."""
