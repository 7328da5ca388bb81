"""NUMBERS TO LOGITS: one Transformer for every family, described by one `Config`.

Shapes: B rows, T tokens, S tokens seen (cache included), D width, H heads, K key heads, d numbers in a head, V
vocabulary. The room knows nothing of loss, data or text; `hub` alone touches files.

    config        Config, the record that describes a model
    positions     rotary angles and their stretching, relative buckets, sine waves
    masks         who sees whom
    attention     softmax(QK^T / sqrt(d)) V
    norms         LayerNorm, RMSNorm
    blocks        feed-forward, mixtures of them, the block
    cache         keys and values of what was read
    heads         from vectors to what is asked: words, labels, spans, one vector a text
    transformer   ids (B, T) -> logits (B, T, V): encoder, decoder, or both
    names         rows between our tensor names and theirs
    families/     one file a family
    hub           folders: load and save
    sentences     what sentence-transformers folders declare beside their model
    lora          low-rank adapters, in PEFT's folders
    quantize      int8 and int4 weights: rounding, and a model over them
    rounded       the matrices themselves, over torch's packed kernels
    laid          matrices as a CPU reads them fastest, for writing texts
    compressed    their folders, as compressed-tensors lays them out
    budget        parameters, operations and memory of a shape, before it is run
"""
