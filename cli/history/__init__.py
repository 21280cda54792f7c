"""A capture's whole history: every delivery, attempt and emission on one time line, and where the capture stands.

Reads topics, stores and logs and changes none of them. It trusts no part of the line to have worked: what a store that
is away or a capture that is lost leaves behind is told as well.
"""
