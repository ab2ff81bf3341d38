"""Writing the index: CURRENT is swapped, commits are folded into leaves, rows replaced, sources remembered."""
