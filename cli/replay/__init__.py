"""Decisions made again from their records: bit for bit as they were, or as they would have been otherwise (P7).

Everything is read from the topics of a site; the arithmetic is that of `evidence.fusion` and `budget.model`. Nothing
here writes to a store or a topic.
"""
