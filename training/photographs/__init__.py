"""Damage in real photographs from few labels: a pretrained backbone and a linear head fitted on its features.

Ends in a model that Triton serves as the line's classifier. The backbone stays as it is, or comes tuned from
`training.tune`; nothing here needs torch.
"""
