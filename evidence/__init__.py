"""From the URIs of a capture to one fused score: views fetched and checked, codes read, models asked, evidence joined.

Hostile bytes are decoded only inside the pool's processes (`picture_process`); everything that leaves a module is a
small frozen type. Never imports faust or aiokafka, and no torch: training uses these modules, never a second path.
"""
