"""Judges a run from what lies on its topics, and shares no arithmetic with the code it judges.

Everything here is a pure function over records read back (`cli.tape.Tape`) and the truth the booth knows. Nothing of
`budget/` is imported: a mistake there must not excuse itself here.
"""
