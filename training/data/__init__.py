"""Data sets: readers for the layouts that exist, one form for all, splits by product, checks in plain words.

`form` is what everybody else in `training` works with. Nothing here decodes more than it must.
"""

from training.data.read import open_data_set

__all__ = ["open_data_set"]
