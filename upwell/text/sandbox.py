"""A stranger's Jinja template, run so that it can neither reach out nor run away.

It sees plain data only, no attribute that leads to Python's inside, no file and no other template. What it may do is
counted: characters written and turns of loops together, seconds, and the size of what an operator, a method or a
filter would make. Templates find here what transformers offers to chat templates: raise_exception, strftime_now,
tojson without HTML's escapes, break and continue, and the tag {% generation %}. Knows nothing of chats.
"""

import json
import re
import time
from collections.abc import Collection, Iterator
from datetime import datetime
from functools import wraps
from types import BuiltinMethodType

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import MAX_RANGE, ImmutableSandboxedEnvironment, SecurityError
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from upwell.errors import CheckpointError, DataError

LONGEST_SOURCE = 1_000_000  # characters of a template
MOST = 32_000_000           # characters written and turns of loops together, in one rendering
SECONDS = 10.0              # for one rendering
BITS = 10_000               # of a whole number
OURS = "_upwell_"           # what we put into a template begins so

# Methods and filters that can make much out of little; of the second kind a number alone can do it.
GROWING = {"join", "replace", "translate", "sum", "xmlattr", "urlize"}
WIDE = {"center", "ljust", "rjust", "zfill", "expandtabs", "to_bytes", "indent", "batch", "slice", "wordwrap",
        "tojson", "truncate", "format", "format_map"}  # fmt: skip


class Said(Exception):
    """What a template says by raise_exception."""


class Overrun(Exception):
    """A template that does too much."""


class Program:
    """A compiled template. CheckpointError, with the line, for one that is no Jinja."""

    def __init__(self, source: str):
        if len(source) > LONGEST_SOURCE or OURS in source:
            raise CheckpointError(f"the chat template has {len(source)} characters, or names of ours ({OURS}...) in "
                                  f"it; expected at most {LONGEST_SOURCE} characters and names of its own")
        try:
            self.environment = Sandbox()
            tree = self.environment.parse(source)
            self.tagged = any(name.name == f"{OURS}begin" for name in tree.find_all(nodes.Name))
            tree = Metering().visit(tree)
            tree.set_environment(self.environment)
            code = self.environment.compile(tree)
            self._template = jinja2.Template.from_code(self.environment, code, self.environment.make_globals(None))
        except jinja2.TemplateSyntaxError as error:
            raise CheckpointError(f"the chat template is no Jinja (line {error.lineno}: {error.message}); "
                                  "copy it again from its source") from None
        except SecurityError as error:
            raise forbidden(error) from None
        except Exception as error:
            raise CheckpointError(f"the chat template cannot be read ({type(error).__name__}: {error}); "
                                  "copy it again from its source") from None

    def run(self, variables: dict, begin: str = "", end: str = "") -> str:
        """The text; what {% generation %} encloses stands between `begin` and `end`.

        DataError where the template refuses the data or fails on it, CheckpointError where it does what it may not.
        """
        meter = Meter()
        ours = {"begin": begin, "end": end, "shown": meter.shown, "joined": meter.joined, "turn": meter.turn}
        try:
            return self._written(meter, variables | {OURS + name: value for name, value in ours.items()})
        except Said as said:
            raise DataError(f"the chat template refuses these messages: {said}") from None
        except SecurityError as error:
            raise forbidden(error) from None
        except Overrun as error:
            raise CheckpointError(f"the chat template does not come to an end: {error}; mend it") from None
        except Exception as error:
            raise DataError(f"the chat template fails on these messages ({type(error).__name__}: {_line(error)}); "
                            "check their roles and contents, or mend the template") from None

    def _written(self, meter: "Meter", variables: dict) -> str:
        parts, length = [], 0
        for part in self._template.generate(variables):
            parts.append(part)
            length += len(part)
            meter.check(length)
        return "".join(parts)


def forbidden(error: SecurityError) -> CheckpointError:
    """The sentence for what reaches out of the sandbox."""
    return CheckpointError(f"the chat template does what no template may ({_line(error)}); "
                           "take the model from a source that you trust")  # fmt: skip


class Meter:
    """What one rendering has spent."""

    def __init__(self):
        self.spent, self.deadline = 0, time.monotonic() + SECONDS

    def spend(self, count: int) -> None:
        """Count characters or turns."""
        self.spent += count
        self.check(self.spent)

    def check(self, count: int) -> None:
        """Overrun where it is too much or too late."""
        if count > MOST:
            raise Overrun(f"it writes or turns more than {MOST:,} times")
        if time.monotonic() > self.deadline:
            raise Overrun(f"it runs longer than {SECONDS:g} seconds")

    def turn(self, length: int) -> str:
        """One more turn of a loop or macro whose own text has so many characters."""
        self.spend(1 + length)
        return ""

    def shown(self, value) -> str:
        """A value as it is written."""
        text = str(value)
        self.spend(len(text))
        return text

    def joined(self, *values) -> str:
        """The operator ~."""
        return self.shown("".join(map(str, values)))


class Metering(NodeTransformer):
    """Puts the meter into loops, macros and output."""

    def visit_For(self, node):
        """Each turn counts."""
        return self._counted(node)

    def visit_Macro(self, node):
        """Each call counts."""
        return self._counted(node)

    def visit_CallBlock(self, node):
        """Each call of its caller() counts."""
        return self._counted(node)

    def visit_Output(self, node):
        """Each value that is written counts by its length."""
        self.generic_visit(node)
        text = nodes.TemplateData
        node.nodes = [one if isinstance(one, text) else _call("shown", [one], node.lineno) for one in node.nodes]
        return node

    def visit_Concat(self, node):
        """Each text put together counts by its length."""
        self.generic_visit(node)
        return _call("joined", node.nodes, node.lineno)

    def visit_Getattr(self, node):
        """No template needs a name of Python's inside, whatever it would lead to."""
        if node.attr.startswith("__"):
            raise SecurityError(f"it reaches for {node.attr!r}")
        return self.generic_visit(node)

    def visit_NSRef(self, node):
        """A namespace holds no names of Python's inside."""
        if node.attr.startswith("_"):
            raise SecurityError(f"a namespace cannot hold {node.attr!r}")
        return node

    def _counted(self, node):
        self.generic_visit(node)
        length = sum(len(text.data) for part in node.body for text in _texts(part))
        turn = _call("turn", [nodes.Const(length, lineno=node.lineno)], node.lineno)
        node.body.insert(0, nodes.Output([turn], lineno=node.lineno))
        return node


def _texts(node) -> Iterator[nodes.TemplateData]:
    if isinstance(node, nodes.TemplateData):
        yield node
    yield from node.find_all(nodes.TemplateData)


def _call(name: str, given: list, line: int) -> nodes.Call:
    return nodes.Call(nodes.Name(OURS + name, "load", lineno=line), given, [], None, None, lineno=line)


class Generation(Extension):
    """{% generation %} ... {% endgeneration %}: what the model itself says."""

    tags = {"generation"}

    def parse(self, parser):
        """The body in a scope of its own, between two marks."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        marks = [nodes.Output([nodes.Name(OURS + name, "load", lineno=line)], lineno=line) for name in ("begin", "end")]
        return [marks[0], nodes.Scope(body, lineno=line), marks[1]]


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without the world, and with limits."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self):
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
        del self.globals["lipsum"]
        self.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now, "dict": Dictionary(),
                         "namespace": namespace}  # fmt: skip
        self.filters["tojson"] = tojson
        for name in (GROWING | WIDE) & set(self.filters):
            self.filters[name] = limited(name, self.filters[name])

    def unsafe_undefined(self, obj, attribute: str):
        """Refused at once, not only when it is used."""
        raise SecurityError(f"it reaches for {attribute!r} of {type(obj).__name__}")

    def call(self, context, obj, /, *given, **named):
        """A call of the template's; what it would make is measured before it is made."""
        function = getattr(obj, "__wrapped__", obj)
        name = getattr(function, "__name__", "")
        if isinstance(function, BuiltinMethodType) and name in GROWING | WIDE:
            check_size(name, (function.__self__, *given, *named.values()))
        return super().call(context, obj, *given, **named)

    def call_binop(self, context, operator: str, left, right):
        """Operators whose result can be much larger than what they are given."""
        if operator == "%" and isinstance(left, str):
            check_size("format", (left, right))
        elif operator == "*":
            check_product(left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            check_bits(left.bit_length() * abs(right))
        made = super().call_binop(context, operator, left, right)
        if hasattr(made, "__len__") and len(made) > MOST:
            raise Overrun(f"it makes something of {len(made):,} parts")
        return made


def limited(name: str, filter):
    """A filter of Jinja's that is measured before it works; a whole number counts where it is no value."""

    @wraps(filter)      # it copies what Jinja has marked on the filter
    def measured(*given, **named):
        check_size(name, (*given, *named.values()))
        return filter(*given, **named)

    return measured


def check_size(name: str, values: tuple) -> None:
    """Overrun where what a method or filter makes of these could be too large: no more than their sizes multiplied."""
    if name.startswith("format"):
        return check_format(str(values[0]), values[1:])
    product = 1
    for number, value in enumerate(values):
        product *= 1 + size(value, name in WIDE and (number > 0 or name == "to_bytes"))
    if product > 8 * MOST:
        raise Overrun(f"its {name} could make {product:,} characters")


def check_format(text: str, values: tuple) -> None:
    """Overrun where a format string asks for too much: each place takes its width, or all values."""
    inside = "*" in text or re.search(r"\{[^{}]*\{", text)       # the width is among the values
    widest = max((int(digits[:12]) for digits in re.findall(r"\d+", text)), default=0)
    made = len(text) + (text.count("%") + text.count("{")) * (widest + size(values, bool(inside)))
    if made > 8 * MOST:
        raise Overrun(f"its format could make {made:,} characters")


def size(value, numbers: bool) -> int:
    """Characters in a value, in all its parts; a whole number is as large as itself where numbers count."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(1 + size(key, numbers) + size(part, numbers) for key, part in value.items())
    if isinstance(value, Collection):
        return sum(1 + size(part, numbers) for part in value)
    if isinstance(value, Iterator):
        return MAX_RANGE
    return abs(value) if numbers and isinstance(value, int) and not isinstance(value, bool) else 1


def check_product(left, right) -> None:
    """The operator *: a text or list so many times, or two numbers."""
    if isinstance(left, int) and isinstance(right, int):
        return check_bits(left.bit_length() + right.bit_length())
    for many, times in ((left, right), (right, left)):
        if isinstance(times, int) and hasattr(many, "__len__") and len(many) * times > MOST:
            raise Overrun(f"it makes something of {len(many) * times:,} parts")


def check_bits(count: int) -> None:
    """Whole numbers have no bound of their own."""
    if count > BITS:
        raise Overrun(f"it makes a number of {count:,} bits")


def raise_exception(message) -> None:
    """The template refuses."""
    raise Said(_line(message))


def strftime_now(format: str) -> str:
    """The time now, local."""
    return datetime.now().strftime(format)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False) -> str:
    """JSON as it is, no HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def namespace(*given, **named) -> Namespace:
    """Jinja's namespace; names that begin with an underscore are Python's."""
    held = dict(*given, **named)
    wrong = [name for name in held if str(name).startswith("_")]
    if wrong:
        raise SecurityError(f"a namespace cannot hold {wrong[0]!r}")
    return Namespace(held)


class Dictionary:
    """dict without its class."""

    def __call__(self, *given, **named) -> dict:
        return dict(*given, **named)

    def fromkeys(self, *given) -> dict:
        """As Python's."""
        return dict.fromkeys(*given)


def _line(said) -> str:
    return " ".join(str(said).split())[:300]
