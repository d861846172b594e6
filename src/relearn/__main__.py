"""The command line as a module: `python -m relearn`, for launchers that start one."""

from relearn.cli import main

main()
