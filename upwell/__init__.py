"""upwell: from a folder of text to a language model that is served, explained and audited.

    checkpoint = upwell.load(folder)         # .model  .tokenizer  .config  .folder  .template
    logits = checkpoint.model(ids)           # ids (B, T) -> logits (B, T, V)
    upwell.save(checkpoint, folder)

Importing this package imports no torch; the first use of one of these names does.
"""

__version__ = "0.1.0"
__all__ = ["Checkpoint", "__version__", "load", "save"]


def __getattr__(name: str):
    if name not in ("Checkpoint", "load", "save"):
        raise AttributeError(f"module 'upwell' has no attribute {name!r}")
    from upwell.model import hub

    return getattr(hub, name)


def __dir__() -> list[str]:
    return __all__
