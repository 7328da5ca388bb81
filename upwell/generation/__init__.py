"""LOGITS TO TEXT. Four small roles and a ten-line loop.

    session      a model, its cache and its rows: start, step with parents; knows no text
    filters      functions (tokens so far, logits) -> logits
    strategies   one file each; a coroutine that yields Steps and returns what it found, best first
    spelling     what settings say in text (strings, words, a grammar) as filters and ids of a tokenizer
    engine       run() drives one strategy over one session, Engine drives many and batches their rows
    jobs         requests of an engine, and the line in which they wait
    prefixes     what texts left in the cache, for prompts that begin as they did
    turns        the one thread in which all engines of a process compute
    threads      the processor's threads belong to whoever computes
    answer       what a request gives, as pieces of text
    habits       what a model's folder says of how it writes
    backend      what every later room sees: generate, score, embed, on our engine or on a server of others

Letters for shapes: B rows of a batch, T tokens, V vocabulary. Importing this package imports no torch.
"""
