"""HOW TO LEARN: one visible loop of load, forward, backward, step.

Training is handed batches that are a pure function of (seed, step), an objective's loss, and plain functions for
evaluation and samples with how often each is due. Everything that a resume needs is one record, `State`; a run
killed at any moment goes on to the same curve. It imports only torch, numpy, safetensors, tokenizers and the
rooms before it. It knows no command line and no text.

Shapes: B rows of a batch, T tokens.
"""
