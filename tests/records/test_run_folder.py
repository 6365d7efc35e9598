"""A run's folder: nothing recorded is lost, nothing is recorded twice."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from on_disk import witness

from pearl_bench.records import files, provenance
from pearl_bench.records import run_folder as record
from pearl_bench.records.files import RecordError
from pearl_bench.records.run_folder import FolderInUse, RunRecord
from pearl_bench.records.schema import EVAL, TRAIN

CONFIG = "suite: locomotion\nsteps: 100\n"
PROVENANCE: dict[str, Any] = provenance.provenance(
    "0123456789abcdef", ["run", "x=1"], gpu=None
) | {
    "meta_test": [
        {
            "protocol": "suite",
            "split": "test",
            "tasks": 2,
            "exploration_episodes": 2,
            "test_episodes": 1,
        }
    ],
    "device": "cpu",
    "threads": 1,
    "cores": 2,
}


def eval_rows(env_steps: int) -> list[dict[str, float | str]]:
    return [
        {
            "env_steps": env_steps,
            "protocol": "suite",
            "split": "test",
            "task": task,
            "group": "",
            "repetition": 1,
            "episode": episode,
            "return": env_steps / 3 - 0.1 * task,
            "length": 200,
            "success": "",
            "unstable": 0,
            "distance": "",
            "wall_s": 1.5,
        }
        for task in (7, 8)
        for episode in (1, 2, 3)
    ]


def test_rows_read_back_to_the_same_numbers(tmp_path):
    values = [0.1, 1 / 3, 1e-300, -0.0, 2.0**60, 123456789.123456789]
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        for step, value in enumerate(values):
            run.append_train({"env_steps": step, "loss/critic": value})
        # the order within a row does not matter
        run.append_train({"loss/critic": 2, "env_steps": 9})
        run.append_eval(eval_rows(6))
    lines = (tmp_path / "train.csv").read_text().splitlines()
    assert lines[0] == "env_steps,loss/critic"
    assert [float(x.split(",")[1]).hex() for x in lines[1:-1]] == [
        value.hex() for value in values
    ]
    assert lines[-1] == "9,2"
    text = (tmp_path / "eval.csv").read_text()
    assert text.splitlines()[0] == ",".join(EVAL.names)
    assert text.splitlines()[1] == (
        f"6,suite,test,7,,1,1,{2.0 - 0.1 * 7!r},200,,0,,1.5"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "", None, "1", 1j])
def test_what_is_no_number_is_not_recorded(tmp_path, value):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        run.append_eval(eval_rows(0))
        before = run.position()
        rows = eval_rows(1)
        rows[3]["return"] = value
        with pytest.raises(RecordError, match=r"eval\.csv: return is .* finite number"):
            run.append_eval(rows)
        with pytest.raises(RecordError, match=r"train\.csv: loss is"):
            run.append_train({"env_steps": 1, "loss": value})
        assert run.position()["eval.csv"] == before["eval.csv"]  # none of the batch


def test_a_file_of_an_older_version_keeps_its_columns(tmp_path):
    older = [n for n in EVAL.names if n not in ("repetition", "distance")]
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        header = ",".join(older) + "\n"
        (tmp_path / "eval.csv").write_text(header)
        run.rewind({"train.csv": 0, "eval.csv": len(header)})
        run.append_eval(eval_rows(6))
    lines = (tmp_path / "eval.csv").read_text().splitlines()
    assert lines[0] == ",".join(older)
    assert lines[1] == f"6,suite,test,7,,1,{2.0 - 0.1 * 7!r},200,,0,1.5"


def test_columns_are_fixed_by_the_first_row(tmp_path):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        run.append_train({"env_steps": 1, "loss/critic": 2.0})
        position = run.position()
    with RunRecord(tmp_path) as run:  # a resumed run knows them from the file
        run.begin(CONFIG, PROVENANCE)
        run.rewind(position)
        with pytest.raises(RecordError, match=r"lacks \['loss/critic'\] and has \['k"):
            run.append_train({"env_steps": 2, "kl": 2.0})
        row = eval_rows(0)[0]
        del row["length"]
        with pytest.raises(RecordError, match=r"lacks \['length'\]"):
            run.append_eval([row])


def test_a_metric_may_have_any_name(tmp_path):
    rows = [{"env_steps": step, 'norm, of "q"': 2.0} for step in (1, 2)]
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        for row in rows:
            run.append_train(row)
    found = TRAIN.read(tmp_path / "train.csv", "")
    assert [line.values for line in found] == rows


def run_until(folder: Path, start: int, kill_at: int | None, end: int = 6) -> None:
    """A stand-in for the loop: a checkpoint every second iteration."""
    state = folder.parent / f"{folder.name}.json"
    with RunRecord(folder) as run:
        run.begin(CONFIG, PROVENANCE)
        saved = json.loads(state.read_text()) if state.exists() else None
        run.rewind(saved["position"] if saved else None)
        for step in range(saved["step"] if saved else start, end):
            if step == kill_at:
                run.append_train({"env_steps": step, "loss": step / 7})
                with (folder / "eval.csv").open("a") as file:
                    file.write("6,7,1")  # killed within a line
                return
            run.append_train({"env_steps": step, "loss": step / 7})
            run.append_eval(eval_rows(step))
            if step % 2:
                data = {"step": step + 1, "position": run.position()}
                state.write_text(json.dumps(data))
                run.progress(step + 1, 10.0 * (step + 1))
        run.finish("done")


def test_interrupted_files_equal_uninterrupted_ones(tmp_path):
    run_until(tmp_path / "whole", 0, None)
    for kill in (0, 1, 3, 4):
        run_until(tmp_path / "cut", 0, kill)
        assert record.status(tmp_path / "cut").state == "begun"
    run_until(tmp_path / "cut", 0, None)
    for name in ("train.csv", "eval.csv", "config.yaml"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "cut" / name).read_bytes() == whole
        assert whole
    run = record.read_run(tmp_path / "cut")
    sessions = [session["resumed_at_env_steps"] for session in run["sessions"]]
    assert sessions == [0, 0, 0, 2, 4]
    assert record.status(tmp_path / "cut") == ("done", 6, 60.0)
    assert run["fingerprint"] == "0123456789abcdef"
    assert 1 < run["peak_memory_mib"] < 1e5


def test_rewind_refuses_files_that_lost_rows(tmp_path):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        run.append_eval(eval_rows(0))
        run.append_eval(eval_rows(1))
        position = run.position()
    whole = (tmp_path / "eval.csv").read_bytes()
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        (tmp_path / "eval.csv").write_bytes(whole[:-7])
        with pytest.raises(RecordError, match=r"eval\.csv has \d+ bytes, and \d+ when"):
            run.rewind(position)
        (tmp_path / "eval.csv").write_bytes(whole.replace(b"200", b"2000"))
        with pytest.raises(RecordError, match="has been edited"):
            run.rewind(position)
        (tmp_path / "eval.csv").write_bytes(whole.replace(b"-0.7", b"-0.8"))
        with pytest.raises(RecordError, match="has been edited"):
            run.rewind(position)  # as long as before
        lengths = {name: position[name] for name in ("train.csv", "eval.csv")}
        run.rewind(lengths)  # all that a checkpoint of an older version knows
        (tmp_path / "eval.csv").write_bytes(whole + b"1,2")
        run.rewind(position)
        assert (tmp_path / "eval.csv").read_bytes() == whole
        run.rewind(None)  # there never was a checkpoint
        position = run.position()
        assert (position["train.csv"], position["eval.csv"]) == (0, 0)


def test_a_lost_checkpoint_is_no_fresh_start(tmp_path):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        run.append_eval(eval_rows(1))
        run.progress(2000, 5.0)
    whole = (tmp_path / "eval.csv").read_bytes()
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        with pytest.raises(RecordError, match="had a checkpoint at 2000 environment"):
            run.rewind(None)
        with pytest.raises(RecordError, match="rewind to the checkpoint before"):
            run.append_eval(eval_rows(2))
    assert (tmp_path / "eval.csv").read_bytes() == whole


def test_rows_without_a_record_are_not_taken_over(tmp_path):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        run.append_eval(eval_rows(1))
    (tmp_path / "run.json").unlink()
    with RunRecord(tmp_path) as run, pytest.raises(RecordError, match="whose rows"):
        run.begin(CONFIG, PROVENANCE)


def test_other_tasks_are_refused(tmp_path):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
    with RunRecord(tmp_path) as run:
        with pytest.raises(RecordError, match="begun with fingerprint 0123"):
            run.begin(CONFIG, PROVENANCE | {"fingerprint": "f"})
        with pytest.raises(RecordError, match="begun with meta_test"):
            run.begin(CONFIG, PROVENANCE | {"meta_test": []})
        run.begin(CONFIG.replace("100", "200"), PROVENANCE)
    assert "steps: 200" in (tmp_path / "config.yaml").read_text()


HOLDER = """
import sys, time
from pathlib import Path
from pearl_bench.records.run_folder import RunRecord
with RunRecord(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_second_process_is_refused_and_told_by_whom(tmp_path):
    folder = tmp_path / "seed=0"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(FolderInUse) as refusal:
            RunRecord(folder).__enter__()
        for part in (f"process {first.pid} on ", "since 20", str(folder)):
            assert part in str(refusal.value)
        os.kill(first.pid, signal.SIGKILL)
    with RunRecord(folder) as run, pytest.raises(FolderInUse, match=str(os.getpid())):
        RunRecord(run.folder).__enter__()  # nor twice in one process
    assert not (folder / "lock").read_bytes()  # nobody is named who is gone
    with RunRecord(folder):
        pass


def test_nothing_happens_without_the_lock(tmp_path):
    with pytest.raises(RecordError, match="with RunRecord"):
        RunRecord(tmp_path).begin(CONFIG, PROVENANCE)
    assert list(tmp_path.iterdir()) == []


def test_status(tmp_path):
    assert record.status(tmp_path / "absent") == ("missing", 0, 0.0)
    with RunRecord(tmp_path) as run:
        assert record.status(tmp_path).state == "missing"
        run.begin(CONFIG, PROVENANCE)
        assert record.status(tmp_path) == ("begun", 0, 0.0)
        run.progress(50, 2.5)
        run.finish("stopped")
        assert record.status(tmp_path) == ("begun", 50, 2.5)
        run.finish("failed", "loss/critic is NaN at step 60")
        assert record.status(tmp_path) == ("failed", 50, 2.5)
        run.begin(CONFIG, PROVENANCE)  # tried again
        assert record.status(tmp_path) == ("begun", 50, 2.5)


def test_the_memory_of_a_run_is_the_most_that_a_session_took(tmp_path, monkeypatch):
    for peak in (50.0, 300.0, 200.0):
        monkeypatch.setattr(record, "peak_memory_mib", lambda peak=peak: peak)
        with RunRecord(tmp_path) as run:
            run.begin(CONFIG, PROVENANCE)
            run.progress(50, 2.5)
    assert record.read_run(tmp_path)["peak_memory_mib"] == 300


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"format": 2}', '{"format": 1, "env_steps": "x"}'],
)
def test_a_foreign_record_is_named(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=str(path)):
        record.status(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seconds", float("nan"), "NaN is no number"),
        ("seconds", float("inf"), "Infinity is no number"),
        ("seconds", -1.0, "seconds is -1.0; expected is a number from 0 on"),
        ("seconds", "1", "seconds is '1'"),
        ("seconds", True, "seconds is True"),
        ("env_steps", -5, "env_steps is -5; expected is a whole number from 0 on"),
        ("env_steps", 1.5, "env_steps is 1.5"),
        ("env_steps", 10**300, "env_steps is 1000000"),
        ("status", "nonsense", "status is 'nonsense'; expected is done, stopped, fail"),
        ("status", None, "status is None"),
        ("peak_memory_mib", -1, "peak_memory_mib is -1"),
        ("fingerprint", "x", "fingerprint is 'x'; expected is 16 hex digits"),
        ("message", 1, "message is 1; expected is text"),
        ("meta_test", {}, "meta_test is {}"),
        ("meta_test", [{}], "meta_test: protocol is missing"),
        ("sessions", [], r"sessions is \[\]"),
        ("sessions", [1], "sessions: it is no JSON object"),
        ("sessions", [{"started": "now"}], "sessions: started is 'now'"),
        ("format", 2, "has format 2; this version reads format 1"),
    ],
)
def test_a_record_of_what_cannot_be_is_refused(tmp_path, key, value, message):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    for read in (record.read_run, record.status):
        with pytest.raises(RecordError, match=message):
            read(tmp_path)


def test_rows_are_on_the_disk_before_a_checkpoint_knows_of_them(tmp_path, monkeypatch):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        events = witness(monkeypatch, tmp_path)
        run.append_eval(eval_rows(0))
        run.append_train({"env_steps": 0, "loss": 1.0})
        run.rewind(None)  # cut back, they do not come again either
    assert events == [f"sync {name}.csv" for name in ("eval", "train", "train", "eval")]


def test_something_else_that_writes_is_noticed(tmp_path):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        run.append_eval(eval_rows(0))
        with (tmp_path / "eval.csv").open("a") as file:
            file.write("mine\n")
        with pytest.raises(RecordError, match="something else writes there too"):
            run.append_eval(eval_rows(1))


def test_a_full_disk_leaves_whole_rows(tmp_path):
    with RunRecord(tmp_path) as run:
        run.begin(CONFIG, PROVENANCE)
        run.append_eval(eval_rows(0))
        before, position = (tmp_path / "eval.csv").read_bytes(), run.position()
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, limit[1]))
        try:
            with pytest.raises(RecordError, match=r"eval\.csv cannot be written: File"):
                run.append_eval(eval_rows(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert (tmp_path / "eval.csv").read_bytes() == before
        assert run.position() == position
        run.append_eval(eval_rows(1))  # once there is room
        assert run.position() != position


def test_atomic_write_leaves_an_equal_file_alone(tmp_path):
    path = tmp_path / "x.csv"
    assert files.write_atomic(path, b"1")
    before = path.stat()
    assert not files.write_atomic(path, b"1")
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert files.write_atomic(path, b"2")
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_provenance_names_the_installed_versions():
    versions = PROVENANCE["versions"]
    assert versions["mujoco"] == "3.3.0"
    assert versions["python"] == sys.version.split()[0]
    assert PROVENANCE["cores"] >= 1
    assert PROVENANCE["commit"] is None or len(PROVENANCE["commit"]) == 40
    json.dumps(PROVENANCE)


def test_provenance_of_a_checkout(tmp_path, monkeypatch):
    """The commit is that of the running source, and only its code makes it dirty."""
    for whose in ("GLOBAL", "SYSTEM"):  # may ask for signatures
        monkeypatch.setenv(f"GIT_CONFIG_{whose}", os.devnull)

    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c"]
        command += ["user.email=a@example.org", *words]
        return subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.strip()

    def where() -> list[object]:
        code = (
            "import json; from pearl_bench.records.provenance import provenance as p;"
            "x = p('', [], gpu=None); print(json.dumps([x['commit'], x['dirty']]))"
        )
        return json.loads(
            subprocess.run(
                [sys.executable, "-c", code],
                cwd=tmp_path,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )

    package = tmp_path / "pearl_bench"
    (package / "records").mkdir(parents=True)
    for name in ("__init__.py", "records/__init__.py", "records/provenance.py"):
        source = Path(provenance.__file__).parents[1] / name
        (package / name).write_bytes(source.read_bytes())
    for folder in ("suites", "baselines", "results"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").touch()
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    assert where() == [None, None]
    git("init", "-q")
    assert where() == [None, None]  # within a repository that does not track it
    git("add", ".")
    git("commit", "-q", "-m", "x")
    head = git("rev-parse", "HEAD")
    assert where() == [head, False]
    other = tmp_path / "results" / "other"  # of which a hook runs this code
    git("clone", "-q", str(tmp_path), str(other))
    git("-C", str(other), "commit", "-q", "--allow-empty", "-m", "y")
    with monkeypatch.context() as hook:
        hook.setenv("GIT_DIR", str(other / ".git"))
        hook.setenv("GIT_INDEX_FILE", str(tmp_path / "none"))
        assert where() == [head, False]
    (tmp_path / "results" / "a").write_text("new curves")
    assert where() == [head, False]
    (tmp_path / "suites" / "new.py").touch()
    assert where() == [head, True]
    (tmp_path / "suites" / "new.py").unlink()
    (package / "__init__.py").write_text("x = 1")
    assert where() == [head, True]


def test_importing_the_record_is_quick():
    code = (
        "import sys, pearl_bench.records.run_folder; "
        "print([m for m in ('torch', 'numpy', 'mujoco') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_runs_are_found_where_they_are_placed(tmp_path):
    runs = [("a", "b", "c", 0), ("a", "b", "c", 10), ("d", "b", "c", 0)]
    others = [(".a", "b", "c", 0), ("a", "b", ".c", 0), ("a", "b", "c", "01")]
    for run in runs + others:
        folder = tmp_path.joinpath(*record.place(*run))
        folder.mkdir(parents=True)
        (folder / record.RUN).touch()
    folders = [tmp_path.joinpath(*record.place(*run)) for run in runs]
    assert record.run_folders(tmp_path) == folders
    assert record.run_folders(tmp_path, "a") == folders[:2]
    assert record.run_folders(tmp_path / "nowhere") == []
