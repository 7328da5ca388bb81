"""transformers' classes for each head, and what they give in one tensor."""

import torch
import transformers as hf

HEADS = {
    "masked": hf.AutoModelForMaskedLM, "classify": hf.AutoModelForSequenceClassification,
    "tag": hf.AutoModelForTokenClassification, "span": hf.AutoModelForQuestionAnswering, "none": hf.AutoModel,
}  # fmt: skip


def numbers(output) -> torch.Tensor:
    """What a head of transformers gives, in one tensor."""
    if "start_logits" in output:
        return torch.stack((output.start_logits, output.end_logits), -1)
    return output.logits if "logits" in output else output.last_hidden_state
