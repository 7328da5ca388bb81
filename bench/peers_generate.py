"""The peers of bench/generate.py: llama.cpp, CTranslate2 and transformers, each as its users take it.

Contract: each function gives {"speed": tokens a second}. It knows of upwell only where smollm2-135m lies and the page.
"""

import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def folder() -> Path:
    """Where the weights lie."""
    from upwell.weights import find

    return find(Path("smollm2-135m"))


def prompt(length: int) -> list[int]:
    """Ids of the page, by transformers' tokenizer."""
    from generate import page
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder()).encode(page())[:length]


def transformers_model():
    """The model in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder(), dtype=torch.bfloat16).eval()


def transformers_decode(new: int) -> dict:
    """Greedy `generate`; the time of a text of one token is taken off."""
    import torch

    model, ids, took = transformers_model(), torch.tensor([prompt(32)]), {}
    for count in (8, 1, new):
        begin = time.perf_counter()
        with torch.inference_mode():
            model.generate(ids, do_sample=False, max_new_tokens=count, min_new_tokens=count)
        took[count] = time.perf_counter() - begin
    return {"speed": (new - 1) / (took[new] - took[1])}


def transformers_prefill(read: int) -> dict:
    """A forward pass that gives the logits after the last token."""
    import torch

    model, ids, times = transformers_model(), torch.tensor([prompt(read)]), []
    for _ in range(4):
        begin = time.perf_counter()
        with torch.inference_mode():
            model(ids, logits_to_keep=1, use_cache=True)
        times.append(time.perf_counter() - begin)
    return {"speed": read / min(times[1:])}


def ctranslate(compute: str, new: int) -> dict:
    """Greedy `generate_batch`; the time of a text of one token is taken off."""
    import ctranslate2
    from ctranslate2.converters import TransformersConverter
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder()).convert_ids_to_tokens(prompt(32))
    with tempfile.TemporaryDirectory() as work:
        TransformersConverter(str(folder())).convert(work + "/model", quantization=compute)
        generator = ctranslate2.Generator(work + "/model", compute_type=compute, inter_threads=1,
                                          intra_threads=os.cpu_count())  # fmt: skip
        took = {}
        for count in (8, 1, new):
            begin = time.perf_counter()
            generator.generate_batch([tokens], max_length=count, min_length=count, sampling_topk=1,
                                     include_prompt_in_result=False)  # fmt: skip
            took[count] = time.perf_counter() - begin
    return {"speed": (new - 1) / (took[new] - took[1])}


def llama_server(sequences: int = 1, context: int = 1024):
    """llama.cpp's own server on the file, in this process, by the wheels of xllamacpp."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = os.environ["UPWELL_GGUF"], context * sequences, sequences
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count()
    params.cache_prompt = False
    return xllamacpp.Server(params)


def llama_asked(server, ids: list[int], new: int) -> dict:
    """The timings that llama.cpp tells of one text."""
    body = {"prompt": ids, "max_tokens": new, "ignore_eos": True, "temperature": 0}
    found = server.handle_completions(body)
    return (json.loads(found) if isinstance(found, str | bytes) else found)["timings"]


def llama(new: int, sequences: int = 1) -> dict:
    """Greedy, from the first token on; several texts at once in slots of their own."""
    server, ids = llama_server(sequences), prompt(32)
    llama_asked(server, ids, 8)
    with ThreadPoolExecutor(sequences) as pool:
        told = list(pool.map(lambda number: llama_asked(server, [*ids[:-1], 100 + number], new), range(sequences)))
    return {"speed": 1000 * sum(one["predicted_n"] - 1 for one in told) / max(one["predicted_ms"] for one in told)}


def llama_prefill(read: int) -> dict:
    """Reading one prompt."""
    server, ids = llama_server(), prompt(read)
    times = [llama_asked(server, [*ids[:-1], 100 + number], 1)["prompt_ms"] for number in range(4)]
    return {"speed": 1000 * read / min(times[1:])}


def beams_transformers(where: str) -> dict:
    """Beam search of all sources at once."""
    import torch
    from generate import BEAMS, TARGET, sources
    from transformers import MarianMTModel

    model, ids = MarianMTModel.from_pretrained(where).eval(), torch.tensor(sources())
    for _ in range(2):
        begin = time.perf_counter()
        with torch.inference_mode():
            model.generate(ids, num_beams=BEAMS, max_new_tokens=TARGET, min_new_tokens=TARGET)
        seconds = time.perf_counter() - begin
    return {"speed": len(ids) * TARGET / seconds}


def beams_ctranslate(where: str) -> dict:
    """The same with int8 weights; the model is built by CTranslate2's own converter from a vocabulary of numbers."""
    import ctranslate2
    from generate import BEAMS, TARGET, sources

    with tempfile.TemporaryDirectory() as work:
        convert(where, work + "/model")
        model = ctranslate2.Translator(work + "/model", compute_type="int8", inter_threads=1,
                                       intra_threads=os.cpu_count())  # fmt: skip
        words = [[f"w{token}" for token in row] for row in sources()]
        for _ in range(2):
            begin = time.perf_counter()
            model.translate_batch(words, beam_size=BEAMS, max_decoding_length=TARGET, min_decoding_length=TARGET)
            seconds = time.perf_counter() - begin
    return {"speed": len(words) * TARGET / seconds}


def convert(where: str, target: str) -> None:
    """Marian's weights with a vocabulary of numbers, as there is no tokenizer."""
    from ctranslate2.converters import transformers as converters
    from transformers import MarianMTModel

    loader, model = converters.MarianMTLoader(), MarianMTModel.from_pretrained(where)
    model.config.normalize_before = model.config.normalize_embedding = False  # as the loader for Marian sets them
    spec = converters.BartLoader.get_model_spec(loader, model)
    words = ["<pad>", "<unk>", "</s>", *(f"w{n}" for n in range(3, model.config.vocab_size))]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "<pad>", "</s>", "<unk>"
    spec.config.decoder_start_token, spec.config.add_source_eos = "<pad>", False
    spec.validate()
    spec.optimize(quantization="int8")
    Path(target).mkdir()
    spec.save(target)
