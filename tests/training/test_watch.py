"""What a run has recorded, as curves, pictures, a page and in other programs."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading

import pytest

from tests.serving.browser import chromium
from upwell import tracking
from upwell.errors import DataError, ServiceError, SettingsError
from upwell.evaluation.curve import confusion, draw, panels
from upwell.training.curves import Curves
from upwell.training.record import Record
from upwell.training.watch import Watch, distinct
from upwell.verbs import watch as verb


def lines(steps, first=1):
    """A made-up course: a training line a step, an evaluation every tenth."""
    for step in range(first, first + steps):
        yield {"step": step, "loss": 8 / step, "norm": 1.0, "rate": 0.5, "tokens": step * 100, "seconds": step / 2}
        if step % 10 == 0:
            yield {"step": step, "evaluation": {"loss": {"value": 9 / step, "error": 0.1}, "accuracy": {"value": 0.5}}}
            sample = {"prompt": "一条河 <b>", "text": f"写到第 {step}", "reference": "</script>"}
            yield {"step": step, "samples": [sample]}


def write(folder, some):
    folder.mkdir(exist_ok=True, parents=True)
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(line) + "\n" for line in some))


@pytest.fixture
def run(tmp_path):
    write(tmp_path / "run", lines(40))
    return tmp_path / "run"


def test_every_number_of_a_run_is_a_curve_and_evaluations_keep_their_errors(run):
    curves = Curves(run)
    curves.refresh()
    told = curves.told()
    assert set(told["curves"]) == {"loss", "norm", "rate", "held-out loss", "held-out accuracy"}
    assert told["curves"]["loss"]["values"] == [8 / step for step in range(1, 41)]
    assert told["curves"]["loss"]["tokens"][-1] == 4000
    held = told["curves"]["held-out loss"]
    assert held["values"] == [0.9, 0.45, 0.3, 0.225] and held["errors"] == [0.1] * 4
    assert held["seconds"] == [5, 10, 15, 20], "an evaluation stands where the step before it stood"
    assert [one["text"] for one in told["samples"]] == ["写到第 10", "写到第 20", "写到第 30", "写到第 40"]


def test_following_a_run_gives_the_same_as_reading_it_at_once(run):
    followed = Curves(run)
    followed.refresh()
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 41, "loss": 0.1')  # a line that is being written
    followed.refresh()
    assert len(followed.curves["loss"].values) == 40
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(', "tokens": 4100}\nno json\n[1]\n')
    followed.refresh()
    whole = Curves(run)
    whole.refresh()
    assert followed.told() == whole.told() and followed.curves["loss"].values[-1] == 0.1


def test_a_run_that_goes_on_from_an_earlier_step_is_read_anew(run):
    followed = Curves(run)
    followed.refresh()
    record = Record(run / "metrics.jsonl", 21)
    for line in lines(30, first=21):
        record(**line | {"loss": 1.0})
    record.close()
    followed.refresh()
    assert followed.curves["loss"].values == [8 / step for step in range(1, 21)] + [1.0] * 36
    assert followed.curves["loss"].at[0] == sorted(followed.curves["loss"].at[0])


def test_a_long_run_is_thinned_to_means_and_keeps_its_lowest_and_highest(tmp_path):
    write(tmp_path, ({"step": step, "loss": float(step % 7)} for step in range(1, 10_001)))
    curves = Curves(tmp_path)
    curves.refresh()
    told = curves.told(points=100)["curves"]["loss"]
    assert len(told["values"]) == 100 and told["step"][-1] == 10_000
    assert set(told["lowest"]) == {0.0} and set(told["highest"]) == {6.0}
    assert sum(told["values"]) / 100 == pytest.approx(sum(step % 7 for step in range(1, 10_001)) / 10_000)


def test_a_loss_that_is_not_a_number_is_a_gap_and_not_bad_json(tmp_path):
    write(tmp_path, [{"step": 1, "loss": 1.0}, {"step": 2, "loss": float("nan")}, {"step": 3, "loss": float("inf")}])
    curves = Curves(tmp_path)
    curves.refresh()
    assert curves.told()["curves"]["loss"]["values"] == [1.0, None, None]


def test_names_are_the_shortest_ends_that_differ(tmp_path):
    assert distinct([tmp_path / "a" / "run", tmp_path / "b" / "other"]) == ["run", "other"]
    assert distinct([tmp_path / "a" / "run", tmp_path / "b" / "run"]) == ["a/run", "b/run"]


@contextlib.contextmanager
def serving(*folders):
    with Watch(folders, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, path, host=None):
    connection = http.client.HTTPConnection(*server.server_address, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_the_server_tells_a_run_once_until_something_is_new(run):
    with serving(run) as server:
        (first,) = json.loads(ask(server, "/runs")[1])
        assert first["name"] == "run" and first["curves"]
        (again,) = json.loads(ask(server, f"/runs?seen={first['version']}")[1])
        assert again == {"name": "run", "version": first["version"]}
        write(run, lines(1, first=41))
        assert len(json.loads(ask(server, f"/runs?seen={first['version']}")[1])[0]["curves"]["loss"]["values"]) == 41


def test_the_server_gives_its_page_only_and_only_to_this_machine(run):
    with serving(run) as server:
        assert ask(server, "/")[0] == 200 and ask(server, "/watch.js")[0] == 200
        for path in ("/../curves.py", "/metrics.jsonl", "/page/index.html", "/%2e%2e/x"):
            assert ask(server, path)[0] == 404
        assert ask(server, "/runs", host="example.org:80")[0] == 403


def test_the_page_shows_curves_and_what_the_model_wrote_and_renews_itself(run):
    with serving(run) as server, chromium() as browser:
        page, faults = browser.new_page(locale="en-US"), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(server.address)
        page.wait_for_selector(".chart.large path.line")
        assert page.locator(".chart:not([hidden]) h3").all_text_contents()[0] == "loss, nats"
        assert "写到第 40" in page.locator("#samples").inner_text()
        assert "一条河 <b>" in page.locator("#samples").inner_text(), "what is written is text, never markup"
        write(run, lines(10, first=41))
        page.locator(".run", has_text="50").wait_for(timeout=10_000)
        page.locator("#language").click()
        assert "模型写下的文字" in page.inner_text("#written")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert not faults


def test_the_pictures_hold_a_field_for_each_curve(run, tmp_path):
    curves = Curves(run)
    curves.refresh()
    path = panels({"run": curves.told()["curves"]}, tmp_path / "curves.svg")
    text = path.read_text(encoding="utf-8")
    assert text.count("axes_") == 4 and path.stat().st_size > 10_000  # loss with held-out, norm, rate, accuracy


def test_a_folder_without_a_run_is_refused_in_a_sentence(tmp_path, monkeypatch, run):
    with pytest.raises(DataError, match="is not there"):
        verb.found((tmp_path / "none",))
    with pytest.raises(DataError, match="twice"):
        verb.found((run, run))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no run in runs/"):
        verb.found(())
    (tmp_path / "runs").mkdir()
    run.rename(tmp_path / "runs" / "mine")
    assert [path.name for path in verb.found(())] == ["mine"]
    with serving(tmp_path / "runs" / "mine") as server, pytest.raises(ServiceError, match="is taken"):
        verb.main(verb.Settings((tmp_path / "runs" / "mine",), port=server.server_address[1]))


def test_tensorboard_gets_every_number(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = tracking.opened("tensorboard", tmp_path, {}, pytest.fail)
    for line in lines(10):
        tracker(line)
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("training/loss")] == pytest.approx([8 / n for n in range(1, 11)])
    assert [event.value for event in events.Scalars("held-out/loss")] == pytest.approx([0.9])
    assert "写到第 10" in events.Tensors("samples/0/text_summary")[0].tensor_proto.string_val[0].decode()


def test_trackio_gets_every_number(tmp_path):
    pytest.importorskip("trackio")
    code = f"""
from pathlib import Path
from upwell import tracking
import trackio
send = tracking.opened("trackio", Path({str(tmp_path / "mine")!r}), {{"steps": 10}}, print)
for step in range(1, 11):
    send({{"step": step, "loss": 8 / step}})
send.close()
from trackio.sqlite_storage import SQLiteStorage
print([line["training/loss"] for line in SQLiteStorage.get_logs("upwell", "mine")])
"""
    place = os.environ | {"TRACKIO_DIR": str(tmp_path / "place")}  # read when the package is imported
    done = subprocess.run([sys.executable, "-c", code], env=place, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == str([8 / step for step in range(1, 11)])


def test_a_tracker_that_fails_is_told_once_and_the_run_goes_on():
    told = []

    def broken(*_):
        raise RuntimeError("no disk")

    tracker = tracking.Tracker("x", broken, broken, told.append)
    for line in lines(3):
        tracker(line)
    tracker.close()
    assert len(told) == 1 and "no disk" in told[0]


def test_an_unknown_tracker_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="tensorboard, trackio"):
        tracking.opened("paper", tmp_path, {}, print)


TABLE = {"labels": ["no", "yes <b>", "也许"], "counts": [[8, 2, 0], [1, 9, 0], [0, 5, 5]]}


def test_of_right_and_said_labels_the_newest_table_is_kept(run):
    write(run, [{"step": 41, "confusion": {"labels": ["a"], "counts": [[1, 2]]}}, {"step": 42, "confusion": TABLE}])
    write(run, [{"step": 43, "confusion": {"labels": ["a", "b"], "counts": [[1]]}}, {"step": 44, "confusion": 7}])
    curves = Curves(run)
    curves.refresh()
    assert curves.told()["confusion"] == {"step": 42.0, **TABLE}, "what has no such form is passed over"


def test_the_page_shows_right_and_said_labels_as_a_table_that_keys_walk_through(run):
    write(run, [{"step": 40, "confusion": TABLE}])
    with serving(run) as server, chromium() as browser:
        for width, dark in ((360, True), (1280, False)):
            page, faults = browser.new_page(locale="en-US", viewport={"width": width, "height": 800},
                                            color_scheme="dark" if dark else "light"), []  # fmt: skip
            page.on("pageerror", lambda error, faults=faults: faults.append(str(error)))
            page.goto(server.address)
            page.wait_for_selector(".confusion td")
            assert page.locator(".confusion tbody td:not(.all)").all_text_contents() == list("820190055")
            assert page.locator(".confusion tbody th").all_text_contents() == TABLE["labels"]
            page.locator(".confusion td[tabindex='0']").focus()
            for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp", "ArrowDown", "ArrowDown"):
                page.keyboard.press(key)
            told = "5 of 10 texts of “也许” are taken for “yes <b>” (50 %)"
            assert page.locator(".tells").inner_text() == told
            assert page.evaluate("document.activeElement.getAttribute('aria-label')") == told
            assert page.locator(".confusion td[tabindex='0']").count() == 1
            light, deep = (page.locator(f"[data-place='run/{place}']").evaluate(
                "one => getComputedStyle(one).backgroundColor") for place in ("0/2", "0/0"))  # fmt: skip
            assert light != deep
            page.locator("#language").click()
            page.locator("[data-place='run/1/1']").hover()
            assert page.locator(".tells").inner_text() == "“yes <b>”的 10 篇文本中，9 篇判断正确（90 %）"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert not faults
            page.close()


def test_the_picture_of_labels_is_written(tmp_path):
    path = confusion(TABLE["labels"], TABLE["counts"], tmp_path / "confusion.svg", "run")
    text = path.read_text(encoding="utf-8")
    assert "image" in text and text.count("text_") >= 9


@pytest.mark.parametrize("key, name", [("bits_per_byte", "bits per byte"), ("loss", "loss")])
def test_the_curve_is_named_by_what_it_shows_also_beside_levels_to_beat(tmp_path, key, name):
    import matplotlib

    lines = [{"tokens": n * 1_000_000, key: 3.0 - n / 4} for n in range(4)]
    lines += [{"tokens": 3_000_000, "evaluation": {name: {"value": 2.0}}}]
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        text = draw(lines, tmp_path / "loss.svg", "a run", {"xz": 2.5, "5-grams": 2.25}).read_text(encoding="utf-8")
    assert f">{name} (lower is better)<" in text and ">held out<" in text and ">a run<" in text
    assert ">xz 2.500<" in text and ">5-grams 2.250<" in text
