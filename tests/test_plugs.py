import pytest

from upwell import plugs
from upwell.errors import UpwellError


def test_the_files_of_a_plug_room_are_its_names():
    assert plugs.names("objectives") == sorted(plugs.names("objectives"))
    assert "doctor" in plugs.names("verbs") and "__init__" not in plugs.names("verbs")


def test_a_name_gives_the_module_of_that_file():
    found = plugs.find("model/families", "llama")
    assert found.__name__ == "upwell.model.families.llama" and "llama" in found.MODEL_TYPES


def test_an_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(UpwellError, match=r"'lama' in model/families, did you mean llama\?"):
        plugs.find("model/families", "lama")
    with pytest.raises(UpwellError, match=r"known are .*gpt2.* A path to your own \.py file works too"):
        plugs.find("model/families", "zzzzz")


@pytest.mark.parametrize("name", ["", ".", "..", "../cli", "os.path", "llama.py/..", "__init__"])
def test_a_name_never_leaves_its_room(name):
    with pytest.raises(UpwellError):
        plugs.find("model/families", name)


def test_an_empty_room_says_so(monkeypatch):
    monkeypatch.setattr(plugs, "names", lambda room: [])
    with pytest.raises(UpwellError, match="nothing in inspection/audits yet; give a path"):
        plugs.find("inspection/audits", "bias")


def test_ones_own_file_works_by_its_path_and_is_imported_once(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from __future__ import annotations\nimport dataclasses\n"
        "@dataclasses.dataclass(frozen=True)\nclass Settings:\n    power: float = 2.0\n",
        encoding="utf-8",
    )
    found = plugs.find("objectives", str(file))
    assert found.Settings().power == 2.0
    assert plugs.find("objectives", str(file)) is found


def test_two_files_of_one_name_in_two_folders_are_two_modules(tmp_path):
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "mine.py").write_text(f"NUMBER = {number}", encoding="utf-8")
    found = [plugs.find("objectives", str(tmp_path / number / "mine.py")).NUMBER for number in ("1", "2")]
    assert found == [1, 2]


def test_ones_own_file_that_is_missing_or_broken_is_one_sentence(tmp_path):
    with pytest.raises(UpwellError, match="there is no such file; objectives has"):
        plugs.find("objectives", str(tmp_path / "none.py"))
    (tmp_path / "broken.py").write_text("x = 1 +", encoding="utf-8")
    for _ in range(2):  # a failed import leaves nothing behind
        with pytest.raises(UpwellError, match="cannot be imported: SyntaxError"):
            plugs.find("objectives", str(tmp_path / "broken.py"))
