"""WHAT TO LEARN: one file for each objective, a plug room.

    Settings                           a frozen dataclass of the objective's own knobs
    loss(model, batch, settings)       -> Loss: the number that training lowers, and how many targets it covers

Shapes: B rows, T tokens, V vocabulary; a batch's ids, targets and documents are (B, T), targets of -100 are not
learnt. An objective calls the model and nothing else; it knows no optimizer, file or schedule.
"""
