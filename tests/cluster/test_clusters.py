"""The same line on a cluster: left and come back to, cancelled, doubled, failing."""

from command import Command

from pearl_bench.records.run_folder import status


def finished_as_locally(command: Command, local: Command) -> None:
    for seed in (0, 1):
        assert command.rows(seed) == local.rows(seed)
    assert command.published() == local.published()
    code, out, err = command.run()
    assert (code, err) == (0, "")
    assert "nothing to do" in out
    assert "wrote" not in out


def test_left_and_come_back_to(on_cluster, local):
    process = on_cluster.start(python=("-X", "importtime"))
    on_cluster.wait_for_rows(process, seed=0)
    code, out, err = on_cluster.interrupt(process)
    assert code == 130
    assert "2 runs submitted" in out
    assert "repeat the command to come back" in out
    # Nothing is trained or measured where the command is typed.
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "pearl_bench.execution.follow" in imported
    assert not {"torch", "mujoco"} & imported

    code, out, err = on_cluster.run()
    assert (code, err) == (0, "")
    assert "0 runs submitted" in out
    for seed in (0, 1):
        (session,) = on_cluster.sessions(seed)  # the first one has never ended
        assert session["engine"] == on_cluster.engine
        assert session["job"]
        assert (session["device"], session["threads"]) == ("cpu", 1)
    finished_as_locally(on_cluster, local)


def test_cancelled_and_started_again(on_cluster, local):
    process = on_cluster.start("on_stop=cancel")
    on_cluster.wait_for_rows(process, seed=0)
    on_cluster.wait_for_rows(process, seed=1)
    code, out, err = on_cluster.interrupt(process)
    assert code == 130
    assert "2 runs are cancelled, after a checkpoint" in out
    for seed in (0, 1):
        found = status(on_cluster.run_folder(seed))
        assert found.state == "begun"
        assert found.env_steps > 0
    code, out, err = on_cluster.run()
    assert (code, err) == (0, "")
    assert "2 runs submitted, 0 are there" in out
    assert [len(on_cluster.sessions(seed)) for seed in (0, 1)] == [2, 2]
    finished_as_locally(on_cluster, local)


def test_two_commands_at_once_train_once(on_cluster, local):
    first, second = on_cluster.start(), on_cluster.start()
    ends = [on_cluster.finish(first), on_cluster.finish(second)]
    assert [code for code, _, _ in ends] == [0, 0], ends
    submitted = sorted(
        line
        for _, out, _ in ends
        for line in out.splitlines()
        if "runs submitted" in line
    )
    assert [line.split()[1] for line in submitted] == ["0", "2"]
    assert [len(on_cluster.sessions(seed)) for seed in (0, 1)] == [1, 1]
    finished_as_locally(on_cluster, local)


def test_a_run_that_fails_is_named_with_its_reason(on_cluster):
    code, out, err = on_cluster.run("seeds=0", "pearl.learning_rate=1e30")
    assert code == 1
    assert err.startswith(f"failed: {on_cluster.run_folder(0)}: ")
    assert "loss/" in err
    assert err.count("\n") == 1
    assert "point-robot pearl seed=0: failed: " in out
    assert status(on_cluster.run_folder(0)).state == "failed"
    assert "Traceback" in (on_cluster.run_folder(0) / "log.txt").read_text()
