"""`python -m forestall.cli`: the same program, for processes that start it by the interpreter they run in."""

from forestall.cli.main import main

main()
