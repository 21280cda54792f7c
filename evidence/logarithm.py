"""A natural logarithm of integers, by integers.

Decisions replay bit for bit on any machine (promise P7). The C library's `log` may differ in its last bit between
platforms, so the one logarithm inside the fused score is made of additions, shifts and divisions of integers.
"""

from __future__ import annotations

from typing import Final

from schemas.words import MICRO

_BITS: Final = 128  # fixed point; two distinct ratios of numbers below 2**60 then never round past each other


def ln_micro(numerator: int, denominator: int) -> int:
    """Return round(1,000,000 x ln(numerator / denominator)) for two positive integers, rounding halves up.

    Monotone: a larger ratio never gives a smaller answer.
    """
    if numerator <= 0 or denominator <= 0:
        raise ValueError(f"the logarithm of {numerator}/{denominator} does not exist")
    doublings = numerator.bit_length() - denominator.bit_length()
    up, down = max(0, -doublings), max(0, doublings)
    mantissa = (numerator << (up + _BITS)) // (denominator << down)  # the ratio without its doublings: 1/2 .. 2
    one = 1 << _BITS
    value = _twice_atanh(mantissa - one, mantissa + one) + doublings * _LN_2
    return (2 * value * MICRO + one) // (2 * one)


def _twice_atanh(numerator: int, denominator: int) -> int:
    """Return 2 atanh(numerator / denominator) in fixed point for a ratio within 1/3, as its Taylor series.

    ln(m) = 2 atanh((m - 1) / (m + 1)), and each term of the series is at most a ninth of the one before.
    """
    sign = -1 if numerator < 0 else 1
    ratio = (abs(numerator) << _BITS) // denominator
    square = (ratio * ratio) >> _BITS
    total, power, odd = 0, ratio, 1
    while power:
        total += power // odd
        power = (power * square) >> _BITS
        odd += 2
    return 2 * sign * total


_LN_2: Final = _twice_atanh(1, 3)
