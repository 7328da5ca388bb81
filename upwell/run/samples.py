"""What the model of a run writes on its own."""

from ..generation.backend import Local
from ..generation.settings import Settings
from ..model import hub


def sample(model, tokenizer, tokens: int, prompt: str = "", seed: int = 1) -> str:
    """A text that the model writes on from `prompt`, or from the start of a document."""
    backend = Local(hub.Checkpoint(model, tokenizer, model.config))
    try:
        room = model.config.context - len(backend.read(prompt))
        settings = Settings(max_new=min(tokens, room), temperature=0.8, top_p=0.95, seed=seed)
        return prompt + "".join(piece.text for piece in backend.generate(prompt, settings))
    finally:
        backend.close()
