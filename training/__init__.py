"""From data to served models, in one command. The only place that may import torch; scores are computed by `evidence`.

`python -m training.recipe` renders, trains, exports, checks, measures and calibrates.
"""
