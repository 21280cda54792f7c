"""What holds for every test."""

from __future__ import annotations

import os

# As in the workers, and before anything loads numpy: the matrix library's own threads cost a hundred times the product
# on a machine that is busy with other tests.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
