"""Benchmarks, each a command that prints what it measured: `python -m bench.NAME --help`."""
