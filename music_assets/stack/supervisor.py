"""The supervisor of the stack: its configuration, its start, and what it knows about each part."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import sys
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from music_assets.stack.process import socket_path, wait_until
from streaming.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from music_assets.stack.parts import Part

HEALTH: Final = "health"
"""The program that restarts what hangs."""

_START_SECONDS: Final = 20
_STOP_SECONDS: Final = 20
_LOG_BYTES: Final = "10MB"
_LOG_BACKUPS: Final = 3
_RETRIES: Final = 5
"""Each waits a second longer than the one before; then the health program starts the part anew."""

_GONE: Final = (OSError, HTTPException)


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """What the supervisor knows about one process.

    Attributes:
        state: the supervisor's word, such as RUNNING, BACKOFF or FATAL.
        pid: its process id, 0 when it does not run.
        uptime_seconds: how long it has been running.
    """

    state: str
    pid: int
    uptime_seconds: int


class Supervisor:
    """The supervisor whose state lies in a folder.

    Args:
        home: the stack's state.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "stack"
        self._logs = home / "logs"
        self._config = self._folder / "supervisord.conf"
        self._socket = socket_path(self._folder / "supervisor.sock")

    def configure(self, parts: Iterable[Part], environment: Mapping[str, str]) -> bool:
        """Write the configuration; say whether it differs from the one that was there."""
        programs = [(part.name, part.command, part.stop_signal) for part in parts if not part.external]
        # Without the kernel's order to die with its parent: it ends what a killed supervisor leaves behind.
        programs.append((HEALTH, (sys.executable, "-m", "music_assets.stack.health"), "TERM"))
        text = "\n".join([self._head(environment), *(self._program(*program) for program in programs)])
        self._folder.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        old = self._config.read_text(encoding="utf-8") if self._config.exists() else ""
        self._config.write_text(text, encoding="utf-8")
        return text != old

    def _head(self, environment: Mapping[str, str]) -> str:
        # The environment itself holds secrets; its digest tells that a setting changed.
        told = hashlib.sha256(repr(sorted(environment.items())).encode()).hexdigest()
        return _ini(
            f"; Written by `music up`. Settings {told[:16]}.",
            "[unix_http_server]", f"file={self._socket}", "chmod=0700",
            "[supervisord]", f"logfile={self._logs / 'supervisord.log'}", f"logfile_maxbytes={_LOG_BYTES}",
            f"logfile_backups={_LOG_BACKUPS}", f"pidfile={self._folder / 'supervisord.pid'}", "nodaemon=true",
            "silent=true", f"childlogdir={self._logs}", f"identifier=music {self._folder.parent}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        )  # fmt: skip

    def _program(self, name: str, command: tuple[str, ...], stop_signal: str) -> str:
        return _ini(
            f"[program:{name}]", f"command={shlex.join(command)}", "autostart=false", "autorestart=true",
            f"startsecs={2 if name != HEALTH else 0}", f"startretries={_RETRIES}", f"stopsignal={stop_signal}",
            f"stopwaitsecs={_STOP_SECONDS}", "killasgroup=true", "redirect_stderr=true",
            f"stdout_logfile={self.log(name)}", f"stdout_logfile_maxbytes={_LOG_BYTES}",
            f"stdout_logfile_backups={_LOG_BACKUPS}",
        )  # fmt: skip

    def pid(self) -> int:
        """Return the supervisor's process id as it wrote it when it started; 0: never."""
        try:
            return int((self._folder / "supervisord.pid").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0

    def log(self, name: str) -> Path:
        """Return the log file of a part."""
        return self._logs / f"{name}.log"

    def launch(self, environment: Mapping[str, str]) -> None:
        """Start the supervisor, which outlives this process.

        Raises:
            StackError: it does not answer.
        """
        self._socket.unlink(missing_ok=True)
        output = self.log("supervisord-start")
        command = (sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config))
        with output.open("wb") as out:
            process = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        wait_until(lambda: self.alive() or process.poll() is not None, seconds=_START_SECONDS)
        if not self.alive():
            raise StackError(f"the supervisor did not start: {last_line(output)}")

    def alive(self) -> bool:
        """Whether the supervisor answers."""
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except _GONE:
            return False

    def states(self) -> dict[str, ProcessState]:
        """Return the state of every process by name; empty when the supervisor is down."""
        try:
            every = self._call("getAllProcessInfo")
        except _GONE:
            return {}
        return {
            each["name"]: ProcessState(
                state=each["statename"],
                pid=each["pid"],
                uptime_seconds=each["now"] - each["start"] if each["pid"] else 0,
            )
            for each in every
        }

    def start(self, name: str) -> None:
        """Start a part, if it does not run."""
        self._change("startProcess", name, Faults.ALREADY_STARTED, False)  # noqa: FBT003 - do not wait

    def kill(self, name: str) -> None:
        """Kill a part; it is started again at once."""
        self._change("signalProcess", name, Faults.NOT_RUNNING, "KILL")

    def stop(self, names: Iterable[str]) -> None:
        """Stop some parts at once and wait until they have ended."""
        names = set(names) & self.states().keys()
        for name in names:
            self._change("stopProcess", name, Faults.NOT_RUNNING, False)  # noqa: FBT003 - do not wait
        wait_until(lambda: not any(self.states()[name].pid for name in names), seconds=_STOP_SECONDS + 5)

    def shutdown(self) -> None:
        """End the supervisor with everything it runs."""
        self._call("shutdown")
        wait_until(lambda: not self.states(), seconds=_STOP_SECONDS + 5)

    def _change(self, method: str, name: str, harmless: int, argument: str | bool) -> None:  # noqa: FBT001 - passed on
        try:
            self._call(method, name, argument)
        except Fault as fault:
            if fault.faultCode != harmless:
                raise StackError(f"{name} cannot be changed: {fault.faultString}") from fault
        except _GONE as error:
            raise StackError("the supervisor is down; `music up` starts it") from error

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            return getattr(ServerProxy("http://127.0.0.1", transport=transport).supervisor, method)(*arguments)
        finally:
            transport.close()


def _ini(*lines: str) -> str:
    """Join lines; a percent sign would start one of the supervisor's own variables."""
    return "\n".join(line.replace("%", "%%") for line in lines) + "\n"


def last_line(log: Path) -> str:
    """Return the last line of a log that says something."""
    if not log.exists():
        return "no log"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "the log is empty"
