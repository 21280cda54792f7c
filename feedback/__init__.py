"""What people said, joined to what the line decided: labels, their weights, and which pictures are still needed.

Pure but for `removal`, which deletes files. Topics and stores are read by whoever asks; nothing here knows a broker.
"""
