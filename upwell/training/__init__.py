"""HOW TO LEARN: one visible loop from a model and its batches to a better model.

    loop       load, forward, backward, step; periodic work is a list of (every, function)
    optim      AdamW and Muon, which parameters go where
    schedule   the learning rate over time
    precision  which number format this machine multiplies fastest
    compiling  off, wait or background; never a failure without a compiler
    save       the state on disk, so that a killed run goes on exactly
    record     metrics.jsonl

Imports only torch, numpy, safetensors, tokenizers and the standard library. It is handed evaluation, sampling and
display as plain functions.
"""
