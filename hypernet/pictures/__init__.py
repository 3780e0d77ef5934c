"""Single pictures: reading, cropping, buckets, faces, duplicates, grids."""
