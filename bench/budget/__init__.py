"""How much of the damage a threshold finds for the same budget: ours beside six others and hindsight.

`streams` makes scores whose truth is known, `race` is the escrow that all run under, `ours` and `others` are the
controllers, `figures` pairs and averages, `plots` draws. Nothing here is imported by the line.
"""
