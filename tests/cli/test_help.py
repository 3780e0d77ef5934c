"""`hypernet --help`: every argument says what it is, and every option what it is by default."""

import argparse

import pytest
from hypernet_pack.cli.main import _parser


def every_argument(parser, path="hypernet"):
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            for name, inner in each.choices.items():
                yield from every_argument(inner, f"{path} {name}")
        elif each.dest not in ("help", "command", "action"):
            yield pytest.param(each, id=f"{path} {each.option_strings or each.metavar}")


@pytest.mark.parametrize("argument", list(every_argument(_parser()[0])))
def test_help_says_what_an_argument_is_and_its_default(argument):
    assert argument.help
    if argument.option_strings and not argument.required:
        assert "(default: " in argument.help
