"""``python -m steplog``: the command line."""

from steplog.cli import main

main(prog_name="steplog")
