"""Titles and introductions of encyclopedia articles out of the JSON files of one package."""

import json
from collections.abc import Iterator

from upwell.catalog import Files, Record


def articles(files: Files) -> Iterator[Record]:
    """The title above the introduction; the topic is the label."""
    for content in files.values():
        for title, article in json.loads(content).items():
            if article["extract"].strip():
                yield {"text": f"{title}\n\n{article['extract']}", "title": title, "label": article.get("topic") or ""}
