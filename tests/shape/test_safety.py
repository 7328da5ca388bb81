"""No code out of data: no pickle is read or written, no text is run as code."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(file for folder in ("upwell", "tools", "bench") for file in (ROOT / folder).rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {
    "eval", "exec", "compile", "torch.load", "torch.save", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "os.system",
}  # fmt: skip
KEYWORDS = {("allow_pickle", True), ("shell", True), ("trust_remote_code", True), ("weights_only", False)}


def dangers(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            found += [ast.unparse(node.func)] if ast.unparse(node.func) in CALLS else []
            pairs = [(k.arg, k.value.value) for k in node.keywords if isinstance(k.value, ast.Constant)]
            found += [str(pair) for pair in pairs if pair in KEYWORDS]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_S4_nothing_runs_data_as_code(file):
    assert dangers(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from pickle import loads", "eval('1')", "torch.load(f)", "np.load(f, allow_pickle=True)"],
)
def test_S4_a_danger_would_be_seen(source):
    assert dangers(source)


def test_S4_a_model_in_evaluation_mode_is_no_danger():
    assert dangers("model.eval()\nspec.loader.exec_module(module)\ntorch.compile(model)") == []
