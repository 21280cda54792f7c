"""How good models are on captures they never saw, measured by the line's own functions.

A trial turns captures into rows (`trial`), figures come from rows alone (`figures`), and a report from figures
(`report`). Nothing here has a second way of looking at a picture: pixels go through `evidence.picture_work`, arrays
through `gallery.examine`, integers through `evidence.fusion`.
"""
