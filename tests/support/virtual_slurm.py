"""A real Slurm of virtual nodes on this machine, for as long as a context lasts.

Several slurmd with names and ports of their own are several nodes. No systemd, no
cgroups, no database: what Debian's ``slurmctld slurmd slurm-client munge`` need to
run jobs, requeue and preempt them. By hand, until Ctrl-C:
``python tests/support/virtual_slurm.py FOLDER [NODES] [CPUS]``.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
SETTINGS = """\
ClusterName=virtual
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,\
sched_min_interval=100000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
SlurmdParameters=config_overrides
SlurmdTimeout=20
ReturnToService=2
KillWait=30
MinJobAge=300
InactiveLimit=0
"""
# A job of `urgent` drives those of `main` away: it asks for them half a minute later.
PARTITIONS = """\
PartitionName=main Nodes=ALL Default=YES MaxTime=7-0 PriorityTier=1 GraceTime=3
PartitionName=urgent Nodes=ALL MaxTime=7-0 PriorityTier=9 PreemptMode=OFF
"""


def missing() -> list[str]:
    """Return the programs of Slurm and munge that are not installed."""
    return [name for name in PROGRAMS if _program(name) is None]


class VirtualSlurm:
    """Slurm's daemons, started on entering and ended with all jobs on leaving.

    Args:
        folder: for configuration, state and logs; its path short enough for a socket.
        nodes: how many; they are called node1, node2, ...
        cpus: of each node, whatever the machine has.
    """

    def __init__(self, folder: Path, nodes: int = 2, cpus: int = 1) -> None:
        self.folder = folder.resolve()
        self.nodes = [f"node{i + 1}" for i in range(nodes)]
        self.environment = os.environ | {"SLURM_CONF": f"{self.folder}/slurm.conf"}
        self._cpus = cpus
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._configure()
        try:
            socket_file = self.folder / "munge.socket"
            self._start(
                "munged",
                "--foreground",
                "--force",
                f"--key-file={self.folder}/munge.key",
                f"--socket={socket_file}",
                f"--pid-file={self.folder}/munged.pid",
                f"--seed-file={self.folder}/munge.seed",
                f"--log-file={self.folder}/munge.log",
            )
            _until(socket_file.exists, 10, "munged did not start")
            self.start_controller()
            for name in self.nodes:
                self.start_node(name)
            _until(self._all_up, 60, f"Slurm did not come up; see {self.folder}/*.log")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # Killed: nothing is to be kept, and Slurm itself would give jobs KillWait. The
        # controller first, so that nothing starts again.
        for name in ("slurmctld", *self.nodes, "munged"):
            if name in self._daemons:
                self._kill(name)

    def run(self, *words: str) -> str:
        """Return what one of Slurm's commands prints."""
        return subprocess.run(
            words,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        ).stdout

    def start_controller(self) -> None:
        """Start the controller, or one that was stopped again."""
        self._start("slurmctld", "-D")

    def stop_controller(self) -> None:
        """Let the controller be away; nodes work on."""
        controller = self._daemons.pop("slurmctld")
        controller.terminate()
        controller.wait()

    def start_node(self, name: str) -> None:
        """Start a node, or one that was killed again."""
        (self.folder / f"spool.{name}").mkdir(exist_ok=True)
        self._start("slurmd", "-D", "-N", name, key=name)

    def kill_node(self, name: str) -> None:
        """Let a node die in the middle of its work, as by a power cut."""
        self._kill(name)

    @contextmanager
    def hurrying(self) -> Iterator[None]:
        """Take the most of the two minutes away that a requeued job has to wait.

        Three seconds stay, in which the end of its last session is heard of: Slurm
        would take it for that of the next.
        """
        over = threading.Event()

        def hurry() -> None:
            since: dict[str, float] = {}
            while not over.wait(0.5):
                now = time.monotonic()
                with suppress(subprocess.SubprocessError):
                    queue = self.run("squeue", "-h", "-r", "-t", "PENDING", "-o%i %r")
                    waiting = [line.split(maxsplit=1) for line in queue.splitlines()]
                    held = [job for job, reason in waiting if reason == "BeginTime"]
                    since = {job: since.get(job, now) for job in held}
                    for job in (job for job, start in since.items() if now - start > 3):
                        self.run("scontrol", "update", f"JobId={job}", "StartTime=now")

        thread = threading.Thread(target=hurry)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _configure(self) -> None:
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        key = os.open(self.folder / "munge.key", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(key, os.urandom(1024))
        os.close(key)
        port = _free_ports(1 + len(self.nodes))
        # slurmctld insists on the machine's own name up to its first dot.
        host = socket.gethostname().partition(".")[0]
        text = SETTINGS.format(
            host=host, port=port, user=getpass.getuser(), folder=self.folder
        )
        for i, name in enumerate(self.nodes):
            text += (
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 "
                f"Port={port + 1 + i} CPUs={self._cpus} RealMemory=4000 Gres=gpu:1\n"
            )
        (self.folder / "slurm.conf").write_text(text + PARTITIONS)
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")

    def _start(self, name: str, *words: str, key: str = "") -> None:
        program = _program(name)
        assert program is not None, f"{name} is not installed"
        with (self.folder / f"{key or name}.out").open("ab") as out:
            self._daemons[key or name] = subprocess.Popen(
                [program, *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # out of Ctrl-C's reach
            )

    def _all_up(self) -> bool:
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                raise RuntimeError(f"{name} ended: see {self.folder}/{name}.out")
        try:
            states = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split()
        except subprocess.SubprocessError:
            return False
        return states == ["idle"] * len(self.nodes)

    def _kill(self, name: str) -> None:
        """Kill a daemon, and what runs on it if it is a node."""
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()
        log = str(self.folder / f"{name}.log")
        for process in psutil.process_iter(["name"]):
            with suppress(psutil.Error):
                # each slurmstepd has its node's log open
                files = process.open_files() if process.name() == "slurmstepd" else []
                if log in (file.path for file in files):
                    for member in (process, *process.children(recursive=True)):
                        with suppress(psutil.NoSuchProcess):
                            member.kill()


def _program(name: str) -> str | None:
    # daemons lie where only root looks
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"
    return shutil.which(name, path=path)


def _free_ports(count: int) -> int:
    """Return the first of several neighbouring ports that nobody uses."""
    for first in range(20000 + os.getpid() % 1000 * 10, 32000, count):
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as trial:
                    trial.bind(("", port))
            return first
    raise RuntimeError("no free ports")


def _until(happens: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(0.1)


if __name__ == "__main__":
    folder, nodes, cpus = [*sys.argv[1:], "2", "1"][:3]
    with VirtualSlurm(Path(folder), int(nodes), int(cpus)) as slurm:
        print(f"export SLURM_CONF={slurm.folder}/slurm.conf", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
