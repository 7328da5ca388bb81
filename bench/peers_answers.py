"""Peers of bench/answers.py, each as its own pages show it.

    PYTHON bench/peers_answers.py words FILE             bm25s over pieces, English stems and stop words
    PYTHON bench/peers_answers.py vectors FILE MODEL     sentence-transformers over the same pieces
    PYTHON bench/peers_answers.py store NAME ROWS        a vector store over random vectors of 384 numbers

PYTHON is one that has what is asked: bm25s with PyStemmer; sentence-transformers; faiss-cpu, hnswlib, usearch,
sqlite-vec, chromadb, lancedb. FILE holds {"pieces", "owners", "questions", "only"}: texts, the number of the text that
each belongs to, questions, and the text that a question is about where that is known, else -1. The last line is JSON.
"""

import json
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTH, QUERIES, NEAREST, DEPTH = 384, 100, 10, 50
THREADS = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())


# ---- ranks ----


def ranks(scores: np.ndarray, owners: np.ndarray, only: int) -> list[int]:
    """Numbers of the best pieces, best first."""
    scores = scores if only < 0 else np.where(owners == only, scores, -np.inf)
    best = np.argsort(-scores, kind="stable")[:DEPTH]
    return [int(number) for number in best if np.isfinite(scores[number])]


def words(given: dict) -> dict:
    """bm25s."""
    import bm25s
    import Stemmer

    stemmer, owners = Stemmer.Stemmer("english"), np.array(given["owners"])
    begin = time.process_time()
    searcher = bm25s.BM25()
    searcher.index(bm25s.tokenize(given["pieces"], stopwords="en", stemmer=stemmer, show_progress=False),
                   show_progress=False)  # fmt: skip
    built, found, times = time.process_time() - begin, [], []
    for question, only in zip(given["questions"], given["only"], strict=True):
        begin = time.process_time()
        (asked,) = bm25s.tokenize([question], stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
        known = [word for word in asked if word in searcher.vocab_dict]
        scores = searcher.get_scores(known) if known else np.zeros(len(owners), np.float32)
        found.append(ranks(scores, owners, only))
        times.append(time.process_time() - begin)
    return {"found": found, "built": built, "times": times}


def vectors(given: dict, model: str) -> dict:
    """sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(THREADS)
    encoder, owners = SentenceTransformer(model, device="cpu"), np.array(given["owners"])
    begin = time.process_time()
    stored = encoder.encode(given["pieces"], normalize_embeddings=True, batch_size=32)
    built, found, times = time.process_time() - begin, [], []
    for question, only in zip(given["questions"], given["only"], strict=True):
        begin = time.process_time()
        asked = encoder.encode(question, normalize_embeddings=True)
        found.append(ranks(stored @ asked, owners, only))
        times.append(time.process_time() - begin)
    return {"found": found, "built": built, "times": times}


# ---- vector stores: each gives (vectors, folder) -> a function (vector, how many) -> numbers ----


def faiss_flat(stored: np.ndarray, folder: str):
    """Exact."""
    import faiss

    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatIP(WIDTH)
    index.add(stored)
    return lambda asked, count: index.search(asked[None], count)[1][0]


def faiss_hnsw(stored: np.ndarray, folder: str):
    """A graph."""
    import faiss

    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexHNSWFlat(WIDTH, 32, faiss.METRIC_INNER_PRODUCT)
    index.add(stored)
    index.hnsw.efSearch = 64
    return lambda asked, count: index.search(asked[None], count)[1][0]


def hnswlib(stored: np.ndarray, folder: str):
    """A graph."""
    import hnswlib as library

    index = library.Index(space="cosine", dim=WIDTH)
    index.init_index(max_elements=len(stored), ef_construction=200, M=16)
    index.set_num_threads(THREADS)
    index.add_items(stored)
    index.set_ef(64)
    return lambda asked, count: index.knn_query(asked[None], k=count)[0][0]


def usearch(stored: np.ndarray, folder: str):
    """A graph."""
    from usearch.index import Index

    index = Index(ndim=WIDTH, metric="cos", dtype="f32")
    index.add(np.arange(len(stored)), stored, threads=THREADS)
    return lambda asked, count: index.search(asked, count).keys


def sqlite_vec(stored: np.ndarray, folder: str):
    """Exact, inside of SQLite."""
    import sqlite_vec as library

    base = sqlite3.connect(f"{folder}/vectors.sqlite")
    base.enable_load_extension(True)
    library.load(base)
    base.execute(f"create virtual table vectors using vec0(vector float[{WIDTH}] distance_metric=cosine)")
    with base:
        base.executemany("insert into vectors(rowid, vector) values (?, ?)",
                         ((number, row.tobytes()) for number, row in enumerate(stored)))  # fmt: skip
    asking = "select rowid from vectors where vector match ? and k = ? order by distance"
    return lambda asked, count: [row[0] for row in base.execute(asking, (asked.tobytes(), count))]


def chromadb(stored: np.ndarray, folder: str):
    """A graph, and a base."""
    import chromadb as library

    client = library.PersistentClient(folder, settings=library.Settings(anonymized_telemetry=False))
    kept = client.create_collection("vectors", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None)
    for first in range(0, len(stored), 5000):
        rows = stored[first : first + 5000]
        kept.add(ids=[str(first + at) for at in range(len(rows))], embeddings=rows)
    return lambda asked, count: [int(one) for one in kept.query([asked], n_results=count, include=[])["ids"][0]]


def lancedb(stored: np.ndarray, folder: str):
    """Exact: a table of columns without an index."""
    import lancedb as library
    import pyarrow

    column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(stored.ravel()), WIDTH)
    rows = pyarrow.table({"number": np.arange(len(stored)), "vector": column})
    table = library.connect(folder).create_table("vectors", rows)
    return lambda asked, count: table.search(asked).distance_type("dot").limit(count).to_arrow()["number"].to_numpy()


STORES = {one.__name__: one for one in (faiss_flat, faiss_hnsw, hnswlib, usearch, sqlite_vec, chromadb, lancedb)}
GRAPHS = ("faiss_hnsw", "hnswlib", "usearch", "chromadb")


def random_vectors(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Stored vectors (rows, WIDTH), and questions: some of them with as much noise as leaves a cosine of about 0.7."""
    numbers = np.random.default_rng(1)
    stored = numbers.standard_normal((rows, WIDTH), np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    near = stored[numbers.choice(rows, QUERIES, replace=False)]
    asked = near + numbers.standard_normal((QUERIES, WIDTH), np.float32) / WIDTH**0.5
    return stored, asked / np.linalg.norm(asked, axis=1, keepdims=True)


def timed(search, stored: np.ndarray, asked: np.ndarray) -> dict:
    """Milliseconds of a question, those of the processor, and the share of the ten nearest that were found."""
    exact = np.argsort(-(asked @ stored.T), axis=1)[:, :NEAREST]
    times, right, first = [], 0, time.process_time()
    for one, wanted in zip(asked, exact, strict=True):
        begin = time.perf_counter()
        found = search(one, NEAREST)
        times.append(1000 * (time.perf_counter() - begin))
        right += len({*map(int, found)} & {*map(int, wanted)})
    processor = 1000 * (time.process_time() - first) / len(asked)
    return {"p50": sorted(times)[len(times) // 2], "processor": processor, "recall": right / exact.size}


def store(name: str, rows: int) -> dict:
    """One store over random vectors."""
    stored, asked = random_vectors(rows)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        search = STORES[name](stored, folder)
        built = time.process_time() - begin
        return {"built": built, **timed(search, stored, asked)}


def peak() -> float:
    """Peak of this process's resident memory, MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(kind: str, what: str, more: str = "") -> None:
    """Print what a peer found as one line of JSON."""
    if kind == "store":
        found = store(what, int(more))
    else:
        given = json.loads(Path(what).read_text(encoding="utf-8"))
        found = vectors(given, more) if kind == "vectors" else words(given)
    print(json.dumps(found | {"memory": peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
