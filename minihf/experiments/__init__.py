"""Experiments as data: networks, data, methods and seeds, how they are run, drawn and timed."""
