"""`hypernet serve` of this tree, as a process of its own: python serve.py [what serve takes]."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest  # noqa: F401 (loads the pack)
from hypernet_pack.cli.main import main

sys.exit(main(["serve", *sys.argv[1:]]))
