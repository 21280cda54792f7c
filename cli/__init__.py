"""The `sideline` command: thin. Each module adds its commands in `register`; `cli.main` gathers them.

Heavy modules are imported inside the commands, so that `--help` and completion stay fast.
"""
