"""Single pictures: reading files, cropping to training sizes, finding faces and duplicates,
and drawing labelled grids."""
