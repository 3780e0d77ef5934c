"""Models that caption pictures (DeepDanbooru, WD taggers, BLIP), and a cache of their answers."""
