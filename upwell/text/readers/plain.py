"""Plain text, Markdown (kept as it is) and source code: one document, or pieces where it is long.

Any file that no other reader knows is read so too; what is no text is a fault. Above 8 MB it may come in ranges.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from upwell.text import Document, Fault
from upwell.text.division import LONG, pieces
from upwell.text.encodings import UTF8, blocks
from upwell.text.packed import bare

SUFFIXES = (".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex")
RANGES = True
CODE = frozenset(
    ".4th .ada .adb .ads .agda .apl .applescript .as .asm .astro .au3 .awk .bas .bash .bat .bats .bib .bicep .bzl .c "
    ".c++ .cabal .cc .cfg .cjs .cl .clj .cljc .cljs .cls .cmake .cmd .cob .coffee .conf .cpp .cr .cs .cshtml .csproj "
    ".css .cu .cuh .cxx .cypher .d .dart .diff .dockerfile .dpr .dts .ebnf .edn .el .elm .env .erb .erl .ex .exs .f "
    ".f03 .f08 .f77 .f90 .f95 .fish .for .forth .frag .fs .fsi .fsx .fth .gd .gemspec .glsl .gleam .go .gql .gradle "
    ".graphql .groovy .h .h++ .haml .handlebars .hbs .hcl .hh .hlsl .hpp .hrl .hs .hx .hxx .idl .idr .inc .ini .ino "
    ".ipp .j2 .janet .java .jade .jinja .jl .js .json .json5 .jsonc .jsp .jsx .kt .kts .lean .less .lhs .liquid "
    ".lisp .litcoffee .ll .lock .log .lsp .lua .m .m4 .mak .mako .matlab .metal .mjs .mk .ml .mli .mll .mly .mm "
    ".mod .move .mustache .mts .nasm .nim .nims .nix .nu .odin .opencl .pas .patch .pde .php .phtml .pl .pm .pod .pp "
    ".prisma .pro .prolog .properties .proto .ps1 .psd1 .psm1 .pug .purs .pxd .pxi .py .pyi .pyx .qml .r .rake .rb "
    ".re .rego .rkt .robot .rs .s .sas .sass .sbt .sc .scala .scheme .scm .scss .sed .sh .sml .sol .sparql .sql .ss "
    ".star .styl .sv .svelte .svg .svh .swift .tcl .tf .tfvars .thrift .toml .ts .tsx .twig .typ .v .vala .vb .vbs "
    ".vert .vhd .vhdl .vim .vue .wat .wgsl .wl .wsdl .xml .xsd .xsl .xslt .yaml .yang .yml .zig .zsh".split()
)
CODE_NAMES = frozenset(
    "brewfile build buildfile caddyfile cmakelists.txt containerfile dockerfile gemfile gnumakefile jenkinsfile "
    "justfile makefile meson.build procfile rakefile sconstruct snakefile vagrantfile workspace".split()
)


def read(file: BinaryIO, name: str, settings, line: int = 1, likely: str = "") -> Iterator[Document | Fault]:
    """Documents of a text. line: the number of its first line; likely: see encodings.blocks."""
    kind, told = kind_of(name), ["utf-8"]
    texts = _noted(blocks(file, settings.encoding, line, likely), told)
    head = next(texts, "")
    following = next(texts, None) if len(head) <= LONG else None
    if line == 1 and following is None and len(head) <= LONG:
        yield Document(head, name, kind=kind, changes=noted(told[0]))
        return
    for at, piece in pieces(_chain(head, following, texts), line=line):
        yield Document(piece, f"{name}:{at}", kind=kind, changes=noted(told[0]))


def kind_of(name: str) -> str:
    """"code" for the source code of a language, by the file's name; else "prose"."""
    name = posixpath.basename(bare(name.lower().replace("\\", "/")))
    return "code" if posixpath.splitext(name)[1] in CODE or name in CODE_NAMES else "prose"


def noted(encoding: str) -> tuple[tuple[str, int], ...]:
    """What a document says of its encoding, as Document.changes: nothing of UTF-8."""
    return () if encoding in ("", *UTF8) else ((f"read as {encoding}", 1),)


def with_encoding(found: Document | Fault, encoding: str) -> Document | Fault:
    """The same, with its encoding said."""
    changes = noted(encoding)
    return replace(found, changes=changes) if changes and isinstance(found, Document) else found


def _noted(texts: Iterator[tuple[str, str]], told: list[str]) -> Iterator[str]:
    for text, told[0] in texts:
        yield text


def _chain(head: str, following: str | None, texts: Iterator[str]) -> Iterator[str]:
    yield head
    if following is not None:
        yield following
    yield from texts
