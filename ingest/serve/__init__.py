"""An archive in a browser page: read-only, on this machine, drawn by the same reader as everything else."""
