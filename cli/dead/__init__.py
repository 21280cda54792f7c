"""Dead letters: look at what could not be processed, and send it again once the cause is mended.

Reads dead topics and the decision store. It writes to input topics only what stood there before, byte for byte.
"""
