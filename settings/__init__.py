"""Where the servers are and how the line is tuned: environment variables with the prefix SIDELINE_, read once at start.

What a site may change while running (budget, lines) is not here; that lives in the decision store.
"""
