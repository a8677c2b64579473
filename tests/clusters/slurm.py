"""A Slurm of its own on this machine: munged, slurmctld and two nodes, in one folder, gone afterwards."""

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.waiting import wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")
NODES = ("n1", "n2")
# Nodes meet under their names, which their daemons alone know: /etc/hosts stays what it is for all others.
KNOWING_NODES = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
ReturnToService=2
KillWait=20
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{extra}
NodeName={nodes[0]} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8
NodeName={nodes[1]} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=graceful Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9
"""


def missing():
    """Why there can be no Slurm here; empty where there can."""
    lacking = [name for name in DAEMONS if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None]
    if lacking:
        return f"{', '.join(lacking)} not installed; on Debian: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "slurmd needs root to start the tasks of a job"


def free_ports(count):
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Slurm:
    """The cluster, once its nodes are up.

    Args:
        folder: Takes its files, logs and state; its path is short, since a socket lies there.
        extra: A line more for slurm.conf.
    """

    def __init__(self, folder, extra=""):
        self.folder = Path(folder)
        self.ports = free_ports(3)
        self.extra, self.started = extra, []
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self):
        self.configure(self.extra)
        (self.folder / "state").mkdir()
        (self.folder / "hosts").write_text(f"{Path('/etc/hosts').read_text()}\n127.0.0.1 {' '.join(NODES)}\n")
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(64))
        key.chmod(0o600)
        munge = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
        munge |= {"log-file": "munged.log", "seed-file": "munged.seed"}
        self.daemon(
            "munged", "--foreground", "--force", *(f"--{k}={self.folder / v}" for k, v in munge.items())
        )
        wait_for(lambda: (self.folder / "munge.socket").exists(), 20)
        try:
            self.daemon("slurmctld", "-D")
            for node in NODES:
                self.daemon("slurmd", "-D", "-N", node, by=(*KNOWING_NODES, str(self.folder / "hosts")))
            wait_for(lambda: self.states() == ["idle", "idle"], 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.call("scancel", "--user=root", "--signal=KILL", "--full")
        for process in reversed(self.started):
            process.terminate()
        for process in reversed(self.started):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()

    def configure(self, extra):
        values = {"folder": self.folder, "host": socket.gethostname(), "nodes": NODES, "ports": self.ports}
        (self.folder / "slurm.conf").write_text(CONFIG.format(extra=extra, **values))

    def daemon(self, name, *words, by=()):
        path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
        with open(self.folder / f"{name}-{len(self.started)}.out", "w") as log:
            words = [*by, path, *words]
            self.started.append(
                subprocess.Popen(words, env=self.environment, stdout=log, stderr=log, cwd=self.folder)
            )

    def call(self, *words):
        """What a command of Slurm's says."""
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=60
        ).stdout.strip()

    def states(self):
        return self.call("sinfo", "--noheader", "--Node", "--partition=main", "--format=%t").split()

    def jobs(self):
        """Job → its state, of those in the queue."""
        lines = self.call("squeue", "--noheader", "--format=%A %T", "--array").splitlines()
        return dict(line.split() for line in lines)
