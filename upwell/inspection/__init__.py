"""WHAT HAPPENED INSIDE: traces, lenses, attention, attributions, patches of the one Transformer.

Contract only: nothing is here yet. There is no second implementation of the model: inspection watches the one
that trains and generates.
"""
