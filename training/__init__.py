"""From data to served models, in one command. The only place that may import torch; scores are computed by `evidence`.

`python -m training.recipe` renders, trains, exports, checks, measures and calibrates.
"""

import os

# Before numpy and torch are loaded: their idle threads spin, which on a busy machine costs more than a second thread
# brings (two shared cores: measuring the models took 40 s with one thread, ten minutes with two).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
