"""Chinese poems of the Tang, Song and Yuan, each with its title and poet."""

import json
from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora._chapters import by_number

PACKAGE = ("npm:chinese-poetry@2.0.1",)


def _poems(files: Files) -> Iterator[Record]:
    for name in sorted(files, key=by_number):
        label = next(kind for kind in ("tang", "song", "yuan") if kind in name.rpartition("/")[2])
        label = "ci" if "/songci/" in name else label
        for poem in json.loads(files[name]):
            title = (poem.get("title") or poem.get("rhythmic") or "").strip()
            lines = "\n".join(line for line in poem["paragraphs"] if line.strip())
            if lines:
                yield {
                    "text": f"{title}\n{poem['author'].rstrip('0123456789')}\n\n{lines}",
                    "title": title,
                    "label": label,
                }


ENTRY = Entry(
    "chinese-poetry",
    "poems of the Tang, Song and Yuan",
    "The poems are in the public domain; the collection is under the MIT licence.",
    {
        "zh": Part(
            PACKAGE,
            r"package/dist/(songci/ci\.song\.\d+|yuanqu/yuanqu)\.json",
            "58fbed8519b1f31e261d722cf2ec6f860bc8c7519353fad85d314948ac318923",
            _poems,
            "31,964 song ci and yuan qu in simplified writing, 3.3 million characters",
        ),
        "zh-hant": Part(
            PACKAGE,
            r"package/dist/quantangshi/poet\.(tang|song)\.\d+\.json",
            "6ac1e7e2b0ca176dafa088cb3835e69d1df90ed4c53f1848b8860d223a390728",
            _poems,
            "311,828 shi in traditional writing, 24.6 million characters",
        ),
    },
)
