"""Our chat templates beside transformers': the same text, the same ids, the same mask."""

import pytest

from tests.text import chats
from upwell.errors import DataError
from upwell.text.chat import Template

transformers = pytest.importorskip("transformers")

KINDS = {"bytes": chats.byte_level, "sentences": chats.sentences}


@pytest.fixture(scope="module", params=KINDS)
def tokenizers(request, tmp_path_factory):
    """Ours and theirs of one folder."""
    folder = tmp_path_factory.mktemp(request.param)
    ours = KINDS[request.param](folder)
    return ours, transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture(params=chats.TEMPLATES)
def both(request, tokenizers):
    """(template, our tokenizer, theirs) for each template."""
    ours, theirs = tokenizers
    theirs.chat_template = chats.TEMPLATES[request.param]
    tokens = {"bos_token": theirs.bos_token, "eos_token": theirs.eos_token}
    return Template(theirs.chat_template, tokens), ours, theirs


@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize("chat", chats.CHATS, ids=["one", "many", "spaces"])
def test_text_and_ids_equal_theirs(both, chat, prompt):
    template, ours, theirs = both
    text = theirs.apply_chat_template(chat, tokenize=False, add_generation_prompt=prompt)
    ids = theirs.apply_chat_template(chat, tokenize=True, add_generation_prompt=prompt, return_dict=False)
    assert template.render(chat, prompt) == text
    assert template.ids(chat, ours, prompt) == ids and len(ids) > 10


@pytest.mark.parametrize("tools", [None, [], [chats.TOOL], [chats.TOOL, chats.TOOL]], ids=lambda t: str(len(t or ())))
def test_tools_and_calls_are_written_as_theirs(tokenizers, tools):
    ours, theirs = tokenizers
    theirs.chat_template = chats.TOOLS
    template = Template(chats.TOOLS, {})
    for chat in (chats.CALLED, chats.CALLED[:1], chats.said("Hi")):
        given = dict(tools=tools, add_generation_prompt=True)
        assert template.render(chat, True, tools) == theirs.apply_chat_template(chat, tokenize=False, **given)
        assert template.ids(chat, ours, True, tools) == theirs.apply_chat_template(chat, return_dict=False, **given)


def test_the_mask_of_a_template_with_the_tag_is_theirs(tokenizers):
    ours, theirs = tokenizers
    theirs.chat_template = chats.TAGGED
    template = Template(chats.TAGGED, {})
    for chat in chats.CHATS:
        want = theirs.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
        ids, mask = template.ids_and_mask(chat, ours)
        assert ids == want["input_ids"] and mask == [bool(one) for one in want["assistant_masks"]]
    assert any(mask) or len(chats.CHATS[-1]) == 1


def test_the_template_of_a_folder_is_the_one_that_they_find(tmp_path):
    """In tokenizer_config.json, in a list of named ones, in files of its own; and after saving."""
    named = [{"name": "default", "template": chats.CHATML}, {"name": "tool_use", "template": chats.TOOLS}]
    for number, given in enumerate((chats.TAGGED, named)):
        folder = tmp_path / str(number)
        tokenizer = chats.byte_level(folder, given)
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        theirs.save_pretrained(tmp_path / f"theirs{number}")
        tokenizer.save(tmp_path / f"ours{number}")
        Template.load(folder).save(tmp_path / f"ours{number}")
        opened = transformers.AutoTokenizer.from_pretrained(tmp_path / f"ours{number}")
        for tools in (None, [chats.TOOL]):
            want = theirs.apply_chat_template(chats.CHATS[0], tokenize=False, tools=tools)
            for place in (folder, tmp_path / f"theirs{number}", tmp_path / f"ours{number}"):
                assert Template.load(place).render(chats.CHATS[0], False, tools) == want
            assert opened.apply_chat_template(chats.CHATS[0], tokenize=False, tools=tools) == want


def test_both_refuse_what_the_template_refuses(tokenizers):
    _, theirs = tokenizers
    theirs.chat_template = chats.ALTERNATING
    wrong = [{"role": "assistant", "content": "I am first"}]
    with pytest.raises(Exception, match="after user comes assistant"):
        theirs.apply_chat_template(wrong, tokenize=False)
    with pytest.raises(DataError, match="the chat template refuses these messages: after user comes assistant"):
        Template(chats.ALTERNATING).render(wrong)


LOGIC = [
    "{% set ns = namespace(a=1, self=2) %}{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}"
    "{% set ns.a = ns.a * 2 %}{% endfor %}{{ ns.a }} {{ ns.self }}",
    "{{ 'x' ~ 1 ~ none ~ [1, 'two'] }} {{ '%s-%02d' % ('a', 7) }} {{ '{}{:>4}'.format(1, 'é') }} {{ 2 ** 8 + 3 % 2 }}",
    "{{ messages|map(attribute='content')|join('|') }}{{ messages|selectattr('role', 'equalto', 'user')|list|length }}",
    "{{ messages[0].content.split(' ')|last }} {{ 'a,b'.split(',')|join('-') }} {{ undefined_name }} {{ none }}",
    "{%- macro twice(x) -%}{{ x }}{{ x }}{%- endmacro -%}{{ twice('ab')|upper }} {{ twice(twice(1)) }}",
    "{% filter upper %}shout {{ messages[0].role }}{% endfilter %}{% set block %}in {{ 1 }}{% endset %}{{ block }}",
    "{% for key, value in {'b': 1, 'a': 2}|dictsort %}{{ key }}{{ value }}{% else %}none{% endfor %}",
    "{{ {'a': [1, 2.5, true, none, '<é>']}|tojson }} {{ [1]|tojson(indent=2) }} {{ dict(a=1).get('a') }}",
    "{{ 'a  b'|wordwrap(3)|indent(2, true) }} {{ 'x'|center(7) }} {{ [3, 1]|sort|sum }} {{ 'aXb'|replace('X', '--') }}",
    "{% if messages is iterable and messages[0] is mapping and 'role' in messages[0] %}yes{% endif %}\n {# no #}\n t",
    "{% call(x) outer() %}[{{ x }}]{% endcall %}",
    "{% macro outer() %}<{{ caller(3) }}>{% endmacro %}{% call(x) outer() %}[{{ x }}]{% endcall %}",
    "{% for m in messages recursive %}{{ m.role if m.role }}{% if m.more %}{{ loop(m.more) }}{% endif %}{% endfor %}",
    "{{ strftime_now('%Y') }} {{ messages[-1]['content'][:3] }} {{ messages[1:]|length }}{{ cycler('a', 'b').next() }}",
]


@pytest.mark.parametrize("source", LOGIC)
def test_all_the_logic_that_templates_use_gives_what_theirs_gives(tokenizers, source):
    _, theirs = tokenizers
    theirs.chat_template = source
    chat = chats.CHATS[1]
    try:
        want = theirs.apply_chat_template(chat, tokenize=False)
    except Exception:
        with pytest.raises(DataError, match="fails on these messages"):
            Template(source).render(chat, False)
    else:
        assert Template(source).render(chat, False) == want
