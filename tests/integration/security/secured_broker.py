"""A broker as a site should run one: everyone logs in, and everything that no rule allows is refused."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import SecretStr

from deploy.local import kafka, probes, system
from deploy.local.folder import cache_dir
from settings.credentials import Credentials
from tests.integration.security.certificates import certificate

SUPER = "super"
CONTROLLER = "controller"
WITHIN_S = 60.0
LOG_LEVEL = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=SASL_PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{tls_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=SASL_PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{tls_port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=SASL_PLAINTEXT
listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:SASL_PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
sasl.mechanism.controller.protocol=PLAIN
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="{super}" password="{super_secret}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={chain}
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required username="{controller}" \
password="{controller_secret}" user_{controller}="{controller_secret}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{super};User:{controller}
allow.everyone.if.no.acl.found=false
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
message.max.bytes=1179648
"""


class SecuredBroker:
    """One KRaft broker on loopback with SCRAM users of its own."""

    def __init__(self, folder: Path, users: Iterable[str]) -> None:
        self.folder = folder
        self.secrets = {user: secrets.token_urlsafe(12) for user in (SUPER, *users)}
        self.port, self.tls_port, self._controller_port = _free_port(), _free_port(), _free_port()
        self.authority = folder / "authority.pem"
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def variables(self, user: str) -> dict[str, str]:
        """Return the environment of a process that is `user`; its password lies in a file, as a mounted one would."""
        file = self.folder / f"{user}.password"
        file.touch(mode=0o600)
        file.write_text(self.secrets[user] + "\n")
        return {
            "SIDELINE_KAFKA_BOOTSTRAP": self.bootstrap,
            "SIDELINE_KAFKA_PROTOCOL": "SASL_PLAINTEXT",
            "SIDELINE_KAFKA_USERNAME": user,
            "SIDELINE_KAFKA_PASSWORD_FILE": str(file),
        }

    def who(self, user: str) -> Credentials:
        """Return the credential of `user`."""
        return Credentials(
            kafka_protocol="SASL_PLAINTEXT",
            kafka_username=user,
            kafka_password=SecretStr(self.secrets[user]),
            kafka_password_file=None,
        )

    def start(self) -> None:
        """Format the storage with all users, start the broker and wait until it takes connections."""
        system.provide({system.JAVA, system.MAVEN}, cache=cache_dir(os.environ), say=_say)
        libs = kafka.jars(cache_dir(os.environ), environ=os.environ, say=_say)
        config = self.folder / "server.properties"
        values = {"port": self.port, "controller_port": self._controller_port, "data": self.folder / "data"}
        key, authority = certificate(self.folder)
        chain = self.folder / "chain.pem"
        chain.write_text(key.read_text() + authority.read_text())
        values |= {"tls_port": self.tls_port, "chain": chain}
        names = {"super": SUPER, "super_secret": self.secrets[SUPER], "controller": CONTROLLER}
        config.write_text(PROPERTIES.format(**values, **names, controller_secret=secrets.token_urlsafe(12)))
        java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", LOG_LEVEL, "-cp", f"{libs}/*"]
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        made = [f"--add-scram=SCRAM-SHA-512=[name={user},password={word}]" for user, word in self.secrets.items()]
        _run([*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(config), *made])
        with (self.folder / "broker.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*java, "kafka.Kafka", str(config)], stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )
        until = time.monotonic() + WITHIN_S
        while not probes.listens("127.0.0.1", self.port):
            assert self._process.poll() is None, (self.folder / "broker.log").read_text()[-2000:]
            assert time.monotonic() < until, "the broker does not listen"
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _say(line: str) -> None:
    sys.stdout.write(f"[secured broker] {line}\n")
