"""A real Ray of virtual nodes on this machine, for as long as a context lasts.

Each node is a raylet with a loopback address of its own. By hand, until Ctrl-C:
``python tests/support/virtual_ray.py FOLDER [NODES] [CPUS]``.
"""

import os
import secrets
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

MARK = "PEARL_BENCH_VIRTUAL_RAY"


class VirtualRay:
    """Ray's processes, started on entering and killed on leaving.

    Args:
        folder: for sessions and logs; its path short enough for a socket.
        nodes: how many, with the addresses 127.0.0.2, 127.0.0.3, ...; the first is the
            head.
        cpus: of each node, whatever the machine has.
        settings: further variables of all processes' environment.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 2,
        cpus: int = 1,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        # 127.0.0.1 itself is silently replaced by the machine's own address.
        self.nodes = [f"127.0.0.{i + 2}" for i in range(nodes)]
        self.address = f"{self.nodes[0]}:{_free_port()}"
        token = self.folder / "token"
        self.environment = os.environ | {
            "RAY_ADDRESS": self.address,
            # Its servers listen on all interfaces.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._own = self.environment | (settings or {})
        self._cpus = cpus

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        token = os.open(self.folder / "token", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(token, secrets.token_hex(32).encode())
        os.close(token)
        try:
            for node in self.nodes:
                self.start_node(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # `ray stop` would end every Ray of this machine.
        mine = [*self._processes()]
        for process in mine:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(mine, timeout=10)

    def start_node(self, node: str) -> None:
        """Start a node; not the head, which cannot come back."""
        if node == self.nodes[0]:
            port = self.address.partition(":")[2]
            where = ["--head", f"--port={port}", f"--temp-dir={self.folder}"]
            where += ["--include-dashboard=false"]
            where += [f"--ray-client-server-port={_free_port()}"]
        else:
            where = [f"--address={self.address}"]
        with (self.folder / "start.log").open("a") as log:
            subprocess.run(
                [
                    Path(sys.executable).with_name("ray"),
                    "start",
                    *where,
                    f"--node-ip-address={node}",
                    f"--num-cpus={self._cpus}",
                    "--num-gpus=0",
                    "--object-store-memory=80000000",
                    "--disable-usage-stats",
                ],
                env=self._own | {MARK: f"{self.folder} {node}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                timeout=120,
            )

    def kill_node(self, node: str) -> None:
        """Let a node die in the middle of its work, as by a power cut."""
        for process in [*self._processes(node)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _processes(self, node: str = "") -> Iterator[psutil.Process]:
        """Yield what belongs to this cluster, or to one node of it."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                mark = process.environ().get(MARK, "")
                if mark.startswith(f"{self.folder} {node}"):
                    yield process
                    # These have written a title over their environment.
                    yield from process.children(recursive=True)


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("", 0))
        return trial.getsockname()[1]


if __name__ == "__main__":
    folder, nodes, cpus = [*sys.argv[1:], "2", "1"][:3]
    with VirtualRay(Path(folder), int(nodes), int(cpus)) as cluster:
        for key in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
            print(f"export {key}={shlex.quote(cluster.environment[key])}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
