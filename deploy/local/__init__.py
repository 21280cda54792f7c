"""The parts of the line on one machine: Kafka, Redis, Triton and the workers under one supervisor and one run folder.

Starting, watching and stopping processes lives here; what the line does with events and pictures does not.
"""
