"""Damage in real photographs from few labels: a pretrained backbone, frozen, and a linear head fitted on its features.

Ends in a model that Triton serves as the line's classifier. Fine-tuning the backbone does not live here.
"""
