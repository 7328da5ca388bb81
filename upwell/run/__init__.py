"""A training run over all rooms: what `upwell pretrain`, `upwell finetune` and `upwell quickstart` do.

    settings    what one may choose about a run; imports no torch
    opening     the objective, the data, the tokenizer and the model's shape: what is learnt from what, checked
    beginning   the model with its first weights, adapters and what stays frozen
    planning    micro-batches, checkpointing and precision for this machine's memory; `--plan`
    going       the run itself: the loop with its periodic work, exactly resumable
    best        the best evaluation so far, and when to stop for want of a better one
    stop        Ctrl-C between two steps
    written     the folder that others open
    suspects    the text of samples whose loss is no number

It stands below all rooms.
"""
