"""Moves events and knows nothing of products or damage.

The app, the topic table, safe consumption, the ledger, the outbox, dead letters, breakers and health. Everything that
knows Kafka or Faust lives here; `streams.faust_edge` lists every private part of theirs that is touched.
"""
