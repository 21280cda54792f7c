"""What SREs scale: one file per worker, in which the life of one event reads top to bottom.

`inspector` answers captures, `tracker` stores scans, `curator` keeps the gallery, `settler` processes verdicts.
"""
