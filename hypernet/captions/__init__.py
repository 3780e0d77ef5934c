"""Text for pictures: where captions come from, tags, the prompts that are trained on,
and how often each picture is repeated."""
