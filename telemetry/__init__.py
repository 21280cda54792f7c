"""What the line says about itself: every metric in one module, and how logs are written.

Knows no broker and no store.
"""
