"""`python -m secondread`, for where the script is not on the path."""

from secondread.cli.main import run

run()
