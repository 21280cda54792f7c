"""What pristine products look like: kept in Redis, followed by every inspector's index in memory.

Redis is the source of truth and the change feed; nothing here decides what a unit is (`evidence.identity` does) or
computes an embedding (`evidence.triton` does).
"""
