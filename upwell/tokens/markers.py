"""Special tokens: which strings may be one, and those of a chat with the template that writes them.

The template is ChatML, which many engines know: each turn stands between two markers, and what the assistant says, with
the marker that ends it, is what a model learns. It knows no tokenizer.
"""

import re
from collections.abc import Sequence

from upwell.errors import DataError
from upwell.text.chat import Template

START, STOP = "<|im_start|>", "<|im_end|>"
CHAT = (START, STOP)
MASK = ("<mask>",)
MIDDLE = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
# No tokenizer of ours joins a bracket and a letter, so that nothing a user types can become one of these by merging.
SPECIAL = re.compile(r"<[!-~]*[A-Za-z0-9][!-~]*>|\[[!-~]*[A-Za-z0-9][!-~]*\]")
LONGEST = 64
SOURCE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ message.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def template() -> Template:
    """The chat template over START and STOP."""
    return Template(SOURCE)


def check(special: Sequence[str], taken: Sequence[str] = ()) -> None:
    """DataError for strings that cannot be special tokens, or come twice."""
    for token in special:
        if not SPECIAL.fullmatch(token) or len(token) > LONGEST:
            raise DataError(
                f"{token!r} cannot be a special token: expected at most {LONGEST} characters within <> or [], without "
                "white space and with a letter or digit, as <|tool|>, so that no text becomes one by chance."
            )
    every = [*taken, *special]
    twice = sorted({token for token in every if every.count(token) > 1})
    if twice:
        raise DataError(f"the special token {twice[0]} is there twice; name each once.")
