"""TEXT TO NUMBERS: a tokenizer, a store of token ids on disk, and batches out of it.

The room knows documents only as strings (tokenizer) or as sequences of ids (store, batches); where they came
from is the room `text`'s business, what is learnt from them is a model's. Letters: B rows, T tokens.

    tokenizer.Tokenizer                text <-> ids, saved as the tokenizer.json that everyone reads
    kinds.train                        a new one: bpe, wordpiece, unigram; sample.sampled bounds the text
    markers                            which strings may be special tokens; those of chats, and their template
    extend.extend                      new tokens for a new language behind the old ones
    report.report                      how well one fits its texts; ranks.tokenizer: GPT-2's and o200k's beside it
    store.write, store.Store           ids of many documents in memory-mapped flat files, or at an address (remote)
    batches.Packed, batches.whole      (B, T) windows of a store: shuffled to learn, in order to measure
    packing.BestFit                    whole documents packed into rows
    buckets.Bucketed, buckets.Pairs    one document a row, batches of about one length
    mixture.Mixture, mixture.Share     several sources in exact proportions; a rank's part of each batch
"""
