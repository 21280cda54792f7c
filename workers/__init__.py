"""What SREs scale: one file per worker, in which the life of one event reads top to bottom.

`inspector` answers captures, `tracker` stores scans, `curator` keeps the gallery, `settler` processes verdicts.
`herald`, which is optional, tells partners in EPCIS.
"""

from __future__ import annotations

import os

# Before anything loads numpy: its matrix library spins on every core for products of half a millisecond. On two busy
# cores a comparison with three references took 117 ms with its threads, 0.7 ms without.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
