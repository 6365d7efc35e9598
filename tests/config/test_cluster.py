"""Words about clusters: what each engine takes, and what it says to the others."""

import pytest

from pearl_bench.config.cluster import memory_bytes
from pearl_bench.config.runs import load
from pearl_bench.config.types import ConfigError
from pearl_bench.execution.plan import plan

SLURM = ["time=1:00:00", "partition=main", "account=lab", "sbatch=--qos=low"]


def asked(*words):
    return load(["suite=navigation", *words])


def test_every_word_of_slurm_is_taken_by_slurm():
    bench = asked("engine=slurm", *SLURM, "jobs=4", "memory=4G", "gpus=1", "threads=2")
    assert (bench.time, bench.partition, bench.account) == ("1:00:00", "main", "lab")
    assert (bench.jobs, bench.memory, bench.threads) == (4, "4G", 2)
    assert bench.sbatch == "--qos=low"


@pytest.mark.parametrize(
    "words",
    [
        *([word] for word in (*SLURM, "gpus=1", "memory=4G", "on_stop=cancel")),
        *(["engine=ray", word] for word in (*SLURM, "jobs=4", "measure=true")),
        ["engine=slurm", "measure=true"],
    ],
)
def test_what_an_engine_does_not_take_is_refused_with_a_reason(words):
    engine = words[0].removeprefix("engine=") if len(words) > 1 else "local"
    with pytest.raises(ConfigError, match=rf"not allowed with engine={engine}: \w"):
        asked(*words)


def test_what_is_usual_is_taken_by_every_engine():
    usual = ["gpus=0", "on_stop=leave", "time=null", "sbatch=", "measure=false"]
    for engine in ("local", "slurm", "ray"):
        bench = asked(f"engine={engine}", *usual)
        assert (bench.on_stop, bench.time, bench.sbatch) == ("leave", None, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gpus=2"], "take 0 or 1"),
        (["gpus=1", "device=cpu"], "which means device=cuda"),
        (["device=cuda"], "which means device=cpu"),
        (["memory=4GB"], "write 4G or 500M"),
        (["memory=0"], "write 4G or 500M"),
        *(
            ([f"time={text}"], "time=.* is not allowed; write 12:00:00")
            for text in ("bogus", "12h", "1:2:3:4", "1-", "-5", "1-2-3", "1٣", "[1]")
        ),
        (["threads=0"], "must be positive"),
        (["sbatch=--comment='"], "No closing quotation"),
        (["sbatch=--array=0-3"], "--array=0-3 is the command's own"),
        (["sbatch=-Jname"], "-Jname is the command's own"),
        (["sbatch=--out=x"], "--out=x is the command's own"),
        (["sbatch=--qos=low --arr 0-3"], "--arr is the command's own"),
        (["sbatch=--job-n=x"], "--job-n=x is the command's own"),
        (["sbatch=--wra=true"], "--wra=true is the command's own"),
        (["sbatch=-Ho x"], "-Ho is the command's own"),
        (["sbatch=--dependency=afterok:7", "jobs=2"], "not allowed with jobs=2"),
        (["sbatch=--dep afterok:7", "jobs=2"], "not allowed with jobs=2"),
        (["sbatch=-dafterok:7", "jobs=2"], "not allowed with jobs=2"),
        *(
            ([f"sbatch={option}"], "for --mem there is memory=")
            for option in ("--mem=8G", "--qos=low --mem 8G", "--me=8G")
        ),
        *(
            ([f"sbatch={option}"], "for --cpus-per-task there is threads=")
            for option in ("-c2", "-c 2", "-Hc2", "--cpus-per-task=2", "--cpus=2")
        ),
        (["memory=1٣G"], "write 4G or 500M"),
    ],
)
def test_impossible_demands_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        asked("engine=slurm", *words)


@pytest.mark.parametrize(
    "time", ["90", "90:30", "12:00:00", "1-12", "1-12:30", "1-12:30:00", "UNLIMITED"]
)
def test_a_session_s_time_is_taken_as_sbatch_takes_it(time):
    assert asked("engine=slurm", f"time={time}").time == time


@pytest.mark.parametrize(
    "options",
    [
        *("--account=lab", "-A lab", "-Alab", "--open-mode=append", "--overcommit"),
        *("-Hq low", "-C avx512", "-w node-a", "--wait", "-Lname"),
        *("--dependency=afterok:7", "-dafterok:7", "--deadline=now+1hour"),
        *("--mem-per-cpu=4G", "--mem-bind=local", "--cpus-per-gpu=2", "-Cc2"),
    ],
)
def test_other_options_of_sbatch_are_taken(options):
    assert asked("engine=slurm", f"sbatch={options}").sbatch == options


@pytest.mark.parametrize(
    ("words", "device", "threads"),
    [([], "cpu", 1), (["gpus=1", "threads=3"], "cuda", 3)],
)
def test_a_cluster_s_runs_do_not_depend_on_this_machine(
    tmp_path, words, device, threads
):
    bench = asked("engine=slurm", *words, f"out={tmp_path}", "learners=pearl")
    for run in plan(bench):
        assert (run.config.device, run.config.threads) == (device, threads)


@pytest.mark.parametrize(
    ("memory", "size"), [("7", 7 << 20), ("500K", 500 << 10), ("4G", 4 << 30)]
)
def test_memory_without_a_letter_is_mebibytes_as_with_slurm(memory, size):
    assert memory_bytes(memory) == size
