"""Vectors and labels by the engine that writes: equal to the model's own, for one or for many at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import transformers

from tests.verbs.test_predict import TEXTS, model
from upwell.errors import DataError, UpwellError
from upwell.evaluation.predict import Asked, Predictor
from upwell.generation.backend import Local, Remote
from upwell.model import hub
from upwell.verbs._models import Which, open_backend


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    folder = model(tmp_path_factory.mktemp("m") / "vectors", "embed")
    backend = open_backend(Which(folder=folder)).backend
    yield folder, backend
    backend.close()


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = model(tmp_path_factory.mktemp("m") / "labels", "classify", ("a", "b", "c"), "single_label_classification")
    backend = open_backend(Which(folder=folder)).backend
    yield folder, backend
    backend.close()


def test_vectors_are_those_of_transformers(vectors):
    folder, backend = vectors
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    theirs = transformers.AutoModel.from_pretrained(folder)
    given = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        hidden = theirs(**given).last_hidden_state
    real = given["attention_mask"][..., None]
    wanted = torch.nn.functional.normalize((hidden * real).sum(1) / real.sum(1), dim=-1)
    torch.testing.assert_close(torch.tensor(backend.embed(TEXTS)), wanted, atol=1e-5, rtol=1e-4)


def test_token_ids_have_the_vector_of_their_text(vectors):
    _, backend = vectors
    found = backend.embed([backend.tokenizer.encode(text) for text in TEXTS])
    torch.testing.assert_close(torch.tensor(found), torch.tensor(backend.embed(TEXTS)), atol=1e-6, rtol=1e-5)


def test_many_requests_at_once_get_what_each_gets_alone(vectors):
    _, backend = vectors
    wanted = [backend.embed([text]) for text in TEXTS]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda text: backend.embed([text]), TEXTS * 12))
    torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted * 12), atol=1e-5, rtol=1e-4)


def test_labels_and_pairs_are_those_of_transformers(labels):
    folder, backend = labels
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    pairs = [(TEXTS[0], TEXTS[1]), (TEXTS[1], TEXTS[2])]
    for some in (TEXTS, pairs):
        both = (some,) if some is TEXTS else map(list, zip(*some, strict=True))
        given = tokenizer(*both, return_tensors="pt", padding=True)
        with torch.no_grad():
            wanted = theirs(**given).logits.softmax(-1).tolist()
        found = [[one[name] for name in "abc"] for one in backend.classify(some)]
        torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), atol=1e-5, rtol=1e-4)


def test_answers_in_texts_are_those_of_the_predictor(tmp_path, vectors):
    folder = model(tmp_path / "spans", "span")
    backend = open_backend(Which(folder=folder)).backend
    try:
        pairs = [("Where ?", one) for one in TEXTS]
        found = backend.spans(pairs)
        for (question, text), one in zip(pairs, found, strict=True):
            (wanted,) = Predictor(hub.load(folder, dtype=torch.float32))([Asked(question, text)])
            assert one == {name: wanted[name] for name in ("answer", "score", "start", "end")}
            assert text[one["start"] : one["end"]] == one["answer"]
        with pytest.raises(DataError, match="a question without a text"):
            backend.spans([("Where ?", " ")])
    finally:
        backend.close()
    for other in (vectors[1], Remote("http://127.0.0.1:1/v1", "m")):
        with pytest.raises(UpwellError, match="take a model"):
            other.spans(pairs)


def test_what_a_head_cannot_do_is_said(vectors, labels):
    for backend, ask in ((vectors[1], Local.classify), (labels[1], Local.embed)):
        with pytest.raises(UpwellError, match="take a model that was trained for that"):
            ask(backend, ["x"])
    with pytest.raises(UpwellError, match="writes no text"):
        vectors[1].generate("x")
    with pytest.raises(DataError, match="found an empty text"):
        vectors[1].embed(["good", " "])
    with pytest.raises(DataError, match="tokens, expected at most"):
        vectors[1].embed(["heron " * 200])
    with pytest.raises(DataError, match="surrogate"):
        vectors[1].embed(["\ud800"])
