"""The decision: one Lua call in Redis that records each capture's one outcome and spends the false-positive budget.

`decision.lua` is the only writer of a site's keys; the Python beside it prepares its arguments and reads its answers.
Knows neither Kafka nor pictures: evidence arrives as integers and pre-rendered JSON.
"""
