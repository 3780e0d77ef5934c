"""What a terminal shows of a training: one line, with the numbers that people watch."""

import re

LINE = re.compile(
    r'Training "style": 100% 8/8 \[\d\d:\d\d<00:00, +[\d.]+(it/s|s/it), loss \S+, rate 0\.0005\]'
)


def test_a_training_has_one_line_and_its_previews_have_none(host, graph, capsys):
    _, run = host
    result = run(graph(preview_every=4))
    assert result.status == "success", result.error
    told = [
        line for line in capsys.readouterr().err.splitlines() if "it/s" in line or "/it" in line
    ]
    *before, last = told  # a slow machine has told of it before
    assert LINE.fullmatch(last), told
    assert all(line.startswith('Training "style": ') and "100%" not in line for line in before)
