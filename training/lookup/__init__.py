"""Products looked up by photographs: references enrolled, a shortlist, geometry, and when an answer is believed.

What compares pictures lives in `evidence`; here it is put in order for folders of photographs.
"""
