"""What travels: one msgspec Struct per message, the words it uses, and the reasons a message can be refused.

The JSON Schemas and the AsyncAPI document beside the code are generated from these types.
Imports nothing of ours; everything else may import it.
"""
