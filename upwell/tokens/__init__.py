"""TEXT TO NUMBERS: a tokenizer, a store of token ids on disk, and batches out of it.

The room knows documents only as strings (tokenizer) or as sequences of ids (store, batches); where they came
from is the room `text`'s business, what is learnt from them is a model's. Letters: B rows, T tokens.

    tokenizer.Tokenizer                text <-> ids, saved as the tokenizer.json that everyone reads
    store.write, store.Store           ids of many documents in memory-mapped flat files
    batches.Packed, batches.whole      (B, T) windows of a store: shuffled to learn, in order to measure
"""
