"""HOW GOOD IS IT: numbers with error bars, beside what a compressor and n-grams reach on the same text.

    tasks/    one file each: what is measured
    compare   xz and n-gram baselines in bits per byte

Shapes: B rows, T tokens, V vocabulary. The room knows no training loop and no command line.
"""
