import time

import pytest

from upwell.errors import CheckpointError, DataError
from upwell.text import sandbox
from upwell.text.sandbox import Program

DATA = {"messages": [{"role": "user", "content": "Hi"}], "tools": None}
NAME = "{% set n = namespace() %}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__ }}",
        "{{ messages[0]['content'].__len__() }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{a.__class__}'.format_map({'a': 1}) }}",
        "{{ '%s'.format.__self__ }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__code__ }}",
        "{{ namespace.__globals__['__builtins__'] }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ joiner.__init__.__globals__ }}",
        "{{ dict.__class__ }}",
        "{{ dict.mro() }}",
        "{{ self.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ [x for x in 1] }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(a=1) }}",
        "{{ messages[0].clear() }}",
        "{% macro m() %}{% endmacro %}{{ m._func }}",
        "{% macro m() %}{% endmacro %}{{ m.__call__.__func__ }}",
        NAME + "{% set n.__class__ = 1 %}{{ n }}",
        "{{ namespace(__class__=1) }}",
        "{{ namespace({'__call__': 1}) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'x' %}",
        "{{ open('/etc/passwd') }}",
        "{{ __import__('os') }}",
        "{{ lipsum() }}",
        "{{ caller() }}",
        "{{ loop.__class__ }}",
        "{{ (messages|map('string')).gi_frame }}",
        "{{ messages|map(attribute='__class__')|list }}",
        "{% set _upwell_shown = 1 %}",
    ],
)
def test_S4_escapes_are_refused_in_one_sentence(source):
    with pytest.raises((CheckpointError, DataError)) as caught:
        Program(source).run(DATA)
    assert "\n" not in str(caught.value) and "root:" not in str(caught.value)


DOUBLING = "{% for i in range(60) %}STEP{% endfor %}"
ENDLESS = [
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) %}{% if j == -1 %}x{% endif %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) %}some words{% endfor %}{% endfor %}",
    "{% for i in range(100000000) %}x{% endfor %}",
    "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% macro m(s) %}{{ s }}{{ s }}{% endmacro %}" + NAME + "{% set n.s = 'x' %}"
    + DOUBLING.replace("STEP", "{% set n.s = m(n.s) %}"),
    NAME + "{% set n.s = 'x' %}" + DOUBLING.replace("STEP", "{% set n.s = n.s + n.s %}"),
    NAME + "{% set n.s = 'x' %}" + DOUBLING.replace("STEP", "{% set n.s = n.s ~ n.s %}"),
    NAME + "{% set n.s = [1] %}" + DOUBLING.replace("STEP", "{% set n.s = n.s + n.s %}"),
    NAME + "{% set n.s = 'x' %}" + DOUBLING.replace("STEP", "{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}"),
    NAME + "{% set n.s = 'x' %}" + DOUBLING.replace("STEP", "{% set n.s = '%s%s' % (n.s, n.s) %}"),
    NAME + "{% set n.s = 'x' %}" + DOUBLING.replace("STEP", "{% set n.s = '{0}{0}'.format(n.s) %}"),
    NAME + "{% set n.s = 'x' %}" + DOUBLING.replace("STEP", "{% set n.s = n.s.replace('x', 'xxx') %}"),
    NAME + "{% set n.s = 'x' %}" + DOUBLING.replace("STEP", "{% set n.s = n.s|replace('x', 'xxx') %}"),
    NAME + "{% set n.s = 7 %}" + DOUBLING.replace("STEP", "{% set n.s = n.s * n.s %}"),
    "{{ 'x' * 10 ** 12 }}",
    "{{ 10 ** 12 * [1] }}",
    "{{ 9 ** (9 ** 9) }}",
    "{{ 'x'|center(1000000000000) }}",
    "{{ 'x'.center(1000000000000) }}",
    "{{ 'x'.ljust(1000000000000) }}",
    "{{ '7'.zfill(1000000000000) }}",
    "{{ '\t'.expandtabs(1000000000000) }}",
    "{{ 'a\nb'|indent(1000000000000) }}",
    "{{ [[1]]|tojson(indent=1000000000000) }}",
    "{{ [1]|batch(1000000000000, 'x')|list }}",
    "{{ '%1000000000000d' % 1 }}",
    "{{ '%*d' % (1000000000000, 1) }}",
    "{{ '{:1000000000000}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=1000000000000) }}",
    "{{ '%1000000000000d'|format(1) }}",
    "{{ range(100000)|join('x' * 30000000) }}",
    "{{ range(100000)|map('string')|join('x' * 30000000) }}",
    "{{ 'x' * 30000000 }}{{ 'x' * 30000000 }}",
    "{{ (7).to_bytes(1000000000000, 'big') }}",
]


@pytest.mark.parametrize("source", ENDLESS, ids=range(len(ENDLESS)))
def test_what_does_not_come_to_an_end_is_stopped(source, monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS", 1.0)
    begin = time.monotonic()
    with pytest.raises((CheckpointError, DataError)) as caught:
        Program(source).run(DATA)
    assert time.monotonic() - begin < 5 and "\n" not in str(caught.value)


def test_a_large_chat_in_a_usual_template_is_within_the_limits():
    source = ("{% for m in messages %}{% for other in messages %}{% if other == m %}{% break %}{% endif %}{% endfor %}"
              "{{ m.content|trim|replace('a', 'b') ~ '\n' }}{% endfor %}{{ messages|tojson(indent=2)|length }}")
    messages = [{"role": "user", "content": f"{number} " + "words and " * 200} for number in range(500)]
    assert Program(source).run({"messages": messages}).count("\n") == 500


def test_the_sandbox_sees_every_node_where_python_and_the_world_could_be_reached():
    """A planted fault: without the refusal at once, an unsafe attribute would be printed as nothing."""
    program = Program("a{{ ''['__class__'] }}b")
    program.environment.__class__ = type("Open", (sandbox.Sandbox,), {
        "unsafe_undefined": sandbox.ImmutableSandboxedEnvironment.unsafe_undefined})
    assert program.run(DATA) == "ab"


def test_marks_enclose_what_the_model_says_in_loops_and_macros():
    source = ("{% macro turn(m) %}<{% generation %}{{ m }}{% set x = 1 %}{% endgeneration %}{{ x }}>{% endmacro %}"
              "{% for m in messages %}{{ turn(m.content) }}{% endfor %}")
    assert Program(source).run(DATA, "[", "]") == "<[Hi]>" and Program(source).tagged
    assert Program(source).run(DATA) == "<Hi>" and not Program("x").tagged


def test_an_escape_is_called_by_its_name():
    for source in ("{{ ''.__class__ }}", "{{ ''|attr('__class__') }}", "{{ messages.append(1) }}"):
        with pytest.raises(CheckpointError, match="does what no template may .* reaches for"):
            Program(source).run(DATA)


def test_a_source_that_is_far_too_long_or_deep_is_refused():
    for source in ("x" * 2_000_000, "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}"):
        with pytest.raises(CheckpointError) as caught:
            Program(source)
        assert len(str(caught.value)) < 600
