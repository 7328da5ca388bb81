"""NUMBERS TO LOGITS: one Transformer for every family, described by one `Config`.

Shapes: B rows, T tokens, S tokens seen (cache included), D width, H heads, K key heads, d numbers in a head, V
vocabulary. The room knows nothing of loss, data or text; `hub` alone touches files.

    config        Config, the record that describes a model
    positions     rotary angles
    attention     softmax(QK^T / sqrt(d)) V, its masks
    norms         LayerNorm, RMSNorm
    blocks        feed-forward, the block
    cache         keys and values of what was read
    transformer   ids (B, T) -> logits (B, T, V)
    names         rows between our tensor names and theirs
    families/     one file a family
    hub           folders: load and save
"""
