"""The objects of the index, to bytes and back; who reads and swaps them is said elsewhere."""
