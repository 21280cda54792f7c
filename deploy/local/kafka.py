"""One Kafka broker (KRaft, no ZooKeeper): its jars, its configuration, its program."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deploy.local.folder import RunFolder, locked
from deploy.local.programs import Program, digest
from schemas.faults import Fatal

_POM: Final = Path(__file__).with_name("kafka_pom.xml")
_SUMS: Final = Path(__file__).with_name("kafka_jars.sha256")  # made by sha256sum in the folder of the jars
_DOWNLOAD_WITHIN_S: Final = 300
_FORMAT_WITHIN_S: Final = 60
# An event of 1 MiB (schemas.words.MAX_EVENT_BYTES) plus 128 KiB for key, headers and what a dead letter adds.
_MESSAGE_MAX_BYTES: Final = (1024 + 128) * 1024

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.partitions=4
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.segment.bytes=67108864
message.max.bytes={message_max_bytes}
replica.fetch.max.bytes={message_max_bytes}
# After a kill -9 the broker's old registration must lapse first: 5.6 s with these two, 14 s without.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


def have_jars(cache: Path) -> bool:
    """Tell whether the jars are here already."""
    return _jars_folder(cache).exists()


def jars(cache: Path, *, environ: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """Return the folder with the broker's jars, downloading them when this machine has none.

    Raises:
        Fatal: Maven could not get them, or got others than were pinned.
    """
    libs = _jars_folder(cache)
    if libs.exists():
        return libs
    with locked(cache / "kafka.lock", within_s=_DOWNLOAD_WITHIN_S):
        if libs.exists():
            return libs
        say("downloading Kafka's jars (once per user)")
        fresh = libs.with_suffix(".part")
        shutil.rmtree(fresh, ignore_errors=True)
        command = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        _run(
            [*command, f"-DoutputDirectory={fresh}"], environ, within_s=_DOWNLOAD_WITHIN_S, what="download Kafka's jars"
        )
        if wrong := unexpected(fresh):
            raise Fatal(f"{wrong} is not the jar that {_SUMS.name} pins: do not trust the Maven repository in use")
        fresh.rename(libs)  # whole or not at all
    return libs


def unexpected(libs: Path) -> str | None:
    """Return the name of a jar that is missing, unknown or has other bytes than pinned; None if all is well."""
    pinned = {name: digest for digest, name in (line.split() for line in _SUMS.read_text().splitlines())}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in libs.iterdir()}
    return next((name for name in sorted({*pinned, *found}) if pinned.get(name) != found.get(name)), None)


def _jars_folder(cache: Path) -> Path:
    return cache / f"kafka-{hashlib.sha256(_POM.read_bytes() + _SUMS.read_bytes()).hexdigest()[:12]}"


def program(folder: RunFolder, libs: Path, *, port: int, controller_port: int, environ: Mapping[str, str]) -> Program:
    """Write the broker's configuration, format its storage once, and return how to start it."""
    home = folder.root / "kafka"
    data = home / "data"
    home.mkdir(exist_ok=True)
    config = home / "server.properties"
    properties = _PROPERTIES.format(
        port=port, controller_port=controller_port, data=data, message_max_bytes=_MESSAGE_MAX_BYTES
    )
    config.write_text(properties)
    classpath = f"{libs}/*"
    if not (data / "meta.properties").exists():
        shutil.rmtree(data, ignore_errors=True)  # a format that was cut short
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *_QUIET, "-cp", classpath]
        command = [
            *tool,
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            f"--cluster-id={cluster_id}",  # one word: one in 64 ids begins with a dash
            "-c",
            str(config),
        ]
        _run(command, environ, within_s=_FORMAT_WITHIN_S, what="format Kafka's storage")
    return Program(
        name="kafka",
        command=("java", *_SMALL, *_QUIET, "-cp", classpath, "kafka.Kafka", str(config)),
        env=dict(environ),
        cwd=str(home),
        ports={"kafka": port, "kafka-controller": controller_port},
        stop_within_s=15,
        reads=digest(properties.encode()),
    )


# One broker beside everything else on a small machine: without the second compiler its start takes 2.4 s of CPU time
# instead of 3.8, and it is still far faster than the line.
_SMALL: Final = ("-Xms64m", "-Xmx256m", "-XX:+UseG1GC", "-XX:TieredStopAtLevel=1")
_QUIET: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)


def _run(command: list[str], environ: Mapping[str, str], *, within_s: float, what: str) -> None:
    try:
        done = subprocess.run(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Fatal(f"could not {what} within {within_s:.0f} s: check the network and try again") from error
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().splitlines()[-5:]
        raise Fatal(f"could not {what}: " + " | ".join(last))
