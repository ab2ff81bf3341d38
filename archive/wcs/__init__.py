"""World coordinates of frames: small tables, evaluated with NumPy, that give what the gWCS gives."""
