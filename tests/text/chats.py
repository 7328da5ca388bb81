"""Tokenizers with special tokens, chat templates of well-known kinds in a minimal form, and chats."""

import json

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from upwell.tokens.tokenizer import Tokenizer, train

TEXTS = ["The river flows to the sea, and the sea is wide. system user assistant", "你好，世界。 INST",
         "a < b && c > d 😀"]  # fmt: skip
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|start|>", "<|sep|>", "<|end|>", "<s>", "</s>"]

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
HEADERS = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0].content|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = 'Be kind.' %}
{%- endif %}
{{- '<|start|>system<|sep|>\n\n' + system + '<|end|>' }}
{%- for m in messages %}
    {{- '<|start|>' + m.role + '<|sep|>\n\n' + m.content|trim + '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|sep|>\n\n' }}
{%- endif %}
"""
ALTERNATING = """{{ bos_token }}{% for m in messages %}
{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('after user comes assistant, and after assistant user') }}
{% endif %}
{% if m['role'] == 'user' %}
{{ '[INST] ' + m['content'] + ' [/INST]' }}
{%- elif m['role'] == 'assistant' %}
{{ ' ' + m['content'] + eos_token }}
{%- endif %}
{% endfor %}"""
TAGGED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n"
    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOLS = """{%- macro listed(all) %}{% for one in all %}{{ one }}{% if not loop.last %}, {% endif %}{% endfor %}
{%- endmacro %}
{%- set ns = namespace(calls=0) %}
{%- if tools is not none and tools %}
<|im_start|>system
Tools ({{ tools|length }}):
{% for tool in tools %}{{ tool|tojson }} {{ tool.function.parameters|tojson(indent=2) }} {{ listed(tool.function) }}
{% endfor %}<|im_end|>
{% endif %}
{%- for m in messages %}
    {%- if m.role == 'assistant' and m.tool_calls is defined and m.tool_calls %}
        {%- for call in m.tool_calls %}
            {%- set ns.calls = ns.calls + 1 %}
            {{- '<|im_start|>assistant\n' ~ ns.calls ~ ' ' ~ (call.function|tojson) ~ '<|im_end|>\n' }}
        {%- endfor %}
        {%- continue %}
    {%- endif %}
    {{- '<|im_start|>' ~ m.role ~ '\n' }}
    {%- if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
"""
TEMPLATES = {"chatml": CHATML, "headers": HEADERS, "alternating": ALTERNATING, "tagged": TAGGED, "tools": TOOLS}

TOOL = {"type": "function", "function": {"name": "look_up", "description": "Finds <b>words</b> & \"signs\" 你好",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}}  # fmt: skip


def said(*contents):
    """User and assistant by turns."""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(contents)]


CHATS = [
    said("Where does the river flow?"),
    said(" 你好，世界。\n\n", "The sea is wide 😀.", "a < b && c > d", "  Yes.\n", "<b>bold</b> <"),
    said("", "x", "\tfour  spaces    here\r\n"),
]
CALLED = [
    {"role": "user", "content": [{"type": "text", "text": "Look "}, {"type": "text", "text": "up the sea"}]},
    {"role": "assistant", "content": None,
     "tool_calls": [{"type": "function", "function": {"name": "look_up", "arguments": {"word": "sea <&>"}}}]},
    {"role": "tool", "content": "wide"},
    {"role": "assistant", "content": "It is wide."},
]  # fmt: skip


def byte_level(folder, template=None):
    """A byte-level tokenizer with special tokens in a folder that transformers opens too."""
    inner = tokenizers.Tokenizer.from_str(train(TEXTS * 10, 400).definition)
    return saved(inner, folder, template, bos="<s>", eos="<|im_end|>")


def sentences(folder, template=None):
    """One in SentencePiece's style: a space is put before the first word, unknown characters fall back to bytes."""
    inner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>", *pieces], show_progress=False)
    inner.train_from_iterator(TEXTS * 10, trainer)
    definition = json.loads(inner.to_str())
    definition["added_tokens"] = [one for one in definition["added_tokens"] if one["content"] == "<unk>"]
    return saved(tokenizers.Tokenizer.from_str(json.dumps(definition)), folder, template, bos="<s>", eos="</s>")


def saved(inner, folder, template, bos, eos):
    """Write a folder with the special tokens, and open it as ours."""
    inner.add_special_tokens(SPECIAL)
    folder.mkdir(parents=True, exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos,
              "clean_up_tokenization_spaces": False}  # fmt: skip
    config |= {"chat_template": template} if template else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return Tokenizer.load(folder)
