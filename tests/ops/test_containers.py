"""Containers without an engine: what the files say is valid, bounded, and true of the code.

Whether they run is shown by ops/containers/engine_check.sh, which needs an engine.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from ops import cli
from ops.broker import properties
from ops.containers import healthy
from ops.grafana.panels import SOURCE
from ops.jars import locked
from stream.settings import ENV_OTHERS, ENV_PREFIX, Settings, load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("hopstream:")}
ONE_SHOT = {"init-topics", "train", "replay"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def interpolated(value: object) -> str:
    """A value as compose fills it in where no variable is set."""
    return re.sub(r"\$\{\w+(?::?-([^}]*))?\}", lambda found: found[1] or "", str(value))


def scrapes(file: str) -> dict[str, int]:
    """Job → the port that is scraped."""
    read = yaml.safe_load((ROOT / "ops/prometheus" / file).read_text())
    ports = {}
    for job in read["scrape_configs"]:
        if "static_configs" in job:
            ports[job["job_name"]] = int(job["static_configs"][0]["targets"][0].rpartition(":")[2])
        else:
            ports[job["job_name"]] = job["dns_sd_configs"][0]["port"]
    return ports


def image_environment() -> dict[str, str]:
    """What the Dockerfile sets for the roles."""
    return dict(re.findall(rf"({ENV_PREFIX}\w+)=(\S+)", DOCKERFILE))


def complaint(*command: str) -> str:
    """What a checker of ours says, empty where it is content."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return f"status {done.returncode}: {done.stdout}{done.stderr}" if done.returncode else ""


def checker(name: str) -> str:
    """The program that the package of this name put beside Python."""
    return str(Path(sys.executable).with_name(name))


def test_compose_fits_its_schema() -> None:
    """The schema of the compose specification knows every key."""
    check = (checker("check-jsonschema"), "--builtin-schema", "vendor.compose-spec")

    assert complaint(*check, "docker-compose.yml") == ""


def test_the_dockerfile_passes_hadolint() -> None:
    """No warning of any kind."""
    assert complaint(checker("hadolint"), "Dockerfile") == ""


@pytest.mark.parametrize("profile", [[], ["--profile", "gpu"]], ids=["cpu", "gpu"])
def test_docker_compose_reads_it(profile: list[str]) -> None:
    """Anchors, variables, services and volumes that are named are there."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("there is no `docker compose` here")

    assert complaint(docker, "compose", *profile, "config", "--quiet") == ""


def test_the_services_are_those_of_the_specification() -> None:
    """Kafka, its topics, a first version, every role, a replay, and who watches them."""
    roles = {"worker", "scorer", "trainer", "evaluator", "server"}

    assert set(SERVICES) == roles | ONE_SHOT | {"kafka", "prometheus", "grafana", "scorer-gpu"}
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"scorer-gpu"}


def test_every_port_is_this_machines_own() -> None:
    """Nothing is published beyond 127.0.0.1."""
    ports = {
        name: [interpolated(port) for port in service["ports"]]
        for name, service in SERVICES.items()
        if "ports" in service
    }

    assert ports == {
        "kafka": ["127.0.0.1:9092:9092"],
        "server": ["127.0.0.1:8080:8080"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_every_image_is_pinned() -> None:
    """An exact version each: Kafka's is that of the tested archives, ours that of the package."""
    images = {service["image"] for service in SERVICES.values()} | {
        found for found in re.findall(r"^ARG PYTHON_IMAGE=(\S+)", DOCKERFILE, re.M)
    }
    kafka = next(jar.version for jar in locked() if jar.artifact == "org.apache.kafka:kafka-clients")
    package = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert package

    assert [image for image in images if not re.search(r":v?\d+\.\d+\.\d+", image)] == []
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka}"
    assert {SERVICES[name]["image"].partition(":")[2].removesuffix("-gpu") for name in OURS} == {package[1]}


def test_no_setting_is_misspelt() -> None:
    """Every HOPSTREAM_… is a setting with a value that it takes, or one of the others."""
    for name in OURS:
        given = {key: interpolated(value) for key, value in SERVICES[name]["environment"].items()}
        ours = {key: value for key, value in given.items() if key.startswith(ENV_PREFIX)}
        settings = load(environment=image_environment() | ours)

        assert settings.kafka.bootstrap == "kafka:19092"
        assert (settings.metrics.host, settings.server.host) == ("0.0.0.0", "0.0.0.0")
        assert settings.kafka.partitions == Settings().kafka.partitions
        assert settings.sessions == Settings().sessions
    assert set(image_environment()) & ENV_OTHERS == {"HOPSTREAM_DATA"}


def test_the_broker_is_configured_as_the_embedded_one() -> None:
    """Of what both set, only addresses, directories and restarts of a killed broker differ."""
    embedded = dict(line.split("=", 1) for line in properties(1, 2, Path("log")).splitlines())
    given = {
        key.removeprefix("KAFKA_").replace("_", ".").lower(): str(value)
        for key, value in SERVICES["kafka"]["environment"].items()
    }
    own = {key for key in given if given[key] != embedded.get(key)}

    assert own == {
        "controller.quorum.voters",
        "listeners",
        "advertised.listeners",
        "listener.security.protocol.map",
        "inter.broker.listener.name",
        "log.dirs",
        "heap.opts",
    }


def test_every_command_can_be_typed() -> None:
    """Verbs exist and take their options."""
    verbs = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    commands = {name: SERVICES[name]["command"] for name in OURS - {"train"}}
    commands["train"] = re.findall(r"exec hopstream (.*)", SERVICES["train"]["command"][0])[0].split()
    for verb, *words in commands.values():
        taken = {option for parameter in verbs[verb].params for option in parameter.opts}

        assert {word for word in words if word.startswith("--")} - taken == set()


def test_services_are_bounded_and_hardened() -> None:
    """Each has limits and a rotated log; ours run without rights on a file system they cannot write to."""
    for service in SERVICES.values():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert service["cap_drop"] == ["ALL"]
    for name in OURS:
        assert SERVICES[name]["read_only"]
        assert SERVICES[name]["init"]
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.M) == ["10001"]


def test_whoever_stays_is_checked_and_started_again() -> None:
    """Every long-lived service has a health check with time to start, and comes back after a crash."""
    for name in set(SERVICES) - ONE_SHOT:
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert SERVICES[name]["healthcheck"]["start_period"]


def test_nobody_starts_too_early() -> None:
    """Dependencies are healthy or done, never merely started; roles wait for the topics."""
    for name, service in SERVICES.items():
        for other, wanted in service.get("depends_on", {}).items():
            done = other in ONE_SHOT
            assert wanted["condition"] == f"service_{'completed_successfully' if done else 'healthy'}"
        if name in OURS - {"init-topics", "train", "replay"}:
            assert "init-topics" in service["depends_on"]


def test_every_volume_is_named_and_used() -> None:
    """None is forgotten, none is anonymous."""
    mounted = {
        str(volume).split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])
    }

    assert {name for name in mounted if re.fullmatch(r"\w+", name)} == set(COMPOSE["volumes"])


def test_containers_are_scraped_like_roles_on_one_machine() -> None:
    """Both configurations have the same rules, and the same jobs at the default ports."""
    metrics = Settings().metrics.model_dump()
    known = {key.removesuffix("_port"): port for key, port in metrics.items() if key.endswith("_port")}
    first, second = (
        yaml.safe_load((ROOT / "ops/prometheus" / file).read_text())
        for file in ("prometheus.yml", "compose.yml")
    )

    assert scrapes("prometheus.yml") == scrapes("compose.yml")
    assert scrapes("compose.yml") == known | {"server": Settings().server.port}
    assert {key: first[key] for key in ("global", "rule_files")} == {
        key: second[key] for key in ("global", "rule_files")
    }
    assert {job["dns_sd_configs"][0]["names"][0] for job in second["scrape_configs"]} <= set(SERVICES)


def test_health_checks_ask_where_the_role_answers() -> None:
    """The address of each check is what Prometheus scrapes, or the server's own readiness."""
    for job, port in scrapes("compose.yml").items():
        if job == "replay":
            continue
        test = SERVICES[job]["healthcheck"]["test"]
        path = "/health/ready" if job == "server" else "/metrics"
        assert f"http://127.0.0.1:{port}{path}" in test
        if job != "server":
            assert test[-1] == SERVICES[job]["command"][-1]


def test_grafana_finds_its_boards_and_their_source() -> None:
    """The source is the service, with the uid that boards name; the JSON lies where it is looked for."""
    folder = ROOT / "ops/grafana/provisioning"
    source = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"][0]
    provider = yaml.safe_load((folder / "dashboards/hopstream.yml").read_text())["providers"][0]
    volumes = SERVICES["grafana"]["volumes"]

    assert source["url"] == "http://prometheus:9090"
    assert source["uid"] == SOURCE
    assert f"./ops/grafana/dashboards:{provider['options']['path']}:ro" in volumes


def test_only_what_is_needed_enters_the_image() -> None:
    """Whatever is copied is let through, and nothing else is."""
    allowed = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.M))
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M) for word in line.split()[:-1]
    }

    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize(("status", "problem"), [(200, None), (503, "answers 503: behind")])
def test_a_role_is_healthy_when_it_answers(status: int, problem: str | None) -> None:
    """A refusal is no health, and its words are passed on."""

    class Role(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"behind")

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Role) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = healthy.problem(f"http://127.0.0.1:{server.server_port}/")

    assert (found is None) if problem is None else (problem in str(found))


def test_a_role_is_not_healthy_before_it_is_ready(tmp_path: Path) -> None:
    """Without the ready file nobody is asked; without an answer nobody is healthy."""
    nowhere, file = "http://127.0.0.1:9/", tmp_path / "ready"

    assert "not ready yet" in str(healthy.problem(nowhere, file))
    file.touch()
    assert "does not answer" in str(healthy.problem(nowhere, file))
