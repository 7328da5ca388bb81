"""Translated texts of program interfaces, each with the English one."""

import re
from collections.abc import Iterator
from functools import partial

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora._messages import messages
from upwell.catalog.corpora._pairs import pairs, texts

SHARE = 0.1  # of the documents are for measuring
PACKAGES = {"horizon": r"horizon|openstack_\w+", "jupyterlab": r"jupyterlab_language_pack_\w+", "wagtail": "wagtail",
            "django": "django"}  # fmt: skip
PLACE = re.compile(r"/locale/[\w@]+/LC_MESSAGES/|\.[mp]o$")
PACK = re.compile(r"^jupyterlab_language_pack_\w+?_[A-Z]{2}(?=/)")


def records(files: Files, language: str) -> Iterator[Record]:
    """The messages of each .mo or .po file, which is a document, package by package."""
    for package, folders in PACKAGES.items():
        names = [name for name in sorted(files) if re.fullmatch(folders, name.partition("/")[0])]
        documents = ((document(name), messages(name, files[name])) for name in names)
        yield from pairs(documents, package, ("en", language), SHARE)


def document(name: str) -> str:
    """The same name for a file of messages in each language."""
    return PACK.sub("jupyterlab", PLACE.sub("/", name)).strip("/")


def plain(files: Files, language: str) -> Iterator[Record]:
    """The translated side alone, a text a message."""
    return texts(records(files, language), joined=False)


def _part(code: str, pack: str, sha256: str, holds: str, made=records) -> Part:
    language = code.partition("_")[0]
    short = rf"({code}|{pack.replace('-', '_')})"
    return Part(
        ("horizon==27.0.0", f"jupyterlab-language-pack-{pack}==4.5.post3", "wagtail==8.0.1", "Django==5.2.19"),
        rf".*/{short}/LC_MESSAGES/.*\.mo|(horizon|openstack_\w+)/.*/{code}/LC_MESSAGES/.*\.po",
        sha256, partial(made, language=language), holds,
    )  # fmt: skip


ENTRY = Entry(
    "ui-pairs",
    "texts of program interfaces in two languages, as pairs: software sentences and nothing wider",
    "Horizon Apache-2.0; JupyterLab, Wagtail and Django BSD-3-Clause.",
    {
        "zh": _part("zh_Hans", "zh-CN",
                    "7b535f0afc81967f3b4b5ce2847e3c68a2fbc65796a6e821dc0aa980746e29d7",
                    "8,409 pairs of 54 files, 0.1 million Chinese characters"),
        "de": _part("de", "de-DE",
                    "3c20dbf90bca54462978d7e488ad43ec246f21aa509ea5e4e0e6e5c74de3407f",
                    "6,645 pairs of 47 files"),
        "fr": _part("fr", "fr-FR",
                    "b0be71b69d666269ee1dd8329b829b65550fc27d5c19f7a6ca3ade8ea15f8fae",
                    "8,637 pairs of 54 files"),
        "zh-text": _part("zh_Hans", "zh-CN",
                    "7b535f0afc81967f3b4b5ce2847e3c68a2fbc65796a6e821dc0aa980746e29d7",
                    "the Chinese side alone: 8,409 short texts, 0.1 million characters", plain),
    },
)
