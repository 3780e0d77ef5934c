"""Words for pictures: caption sources, tags, training prompts, repeats."""
