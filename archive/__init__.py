"""Read an archive of fibre-optic sensing or solar data straight from the bucket."""
