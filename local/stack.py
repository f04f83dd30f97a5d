"""The whole system on this machine: the deployed template on an AWS emulator, and the Graph simulator as the other side.

    python3 local/stack.py up [NAME]       build, start, deploy; prints a JSON description of what runs where
    python3 local/stack.py down [NAME]     end what `up` started, and remove its files
    python3 local/stack.py build           only build the functions, for this machine or with ARCH=arm64|x86_64
    python3 local/stack.py build-all       build the functions and the Graph simulator for this machine

Everything a stack writes is under `.demo/NAME/`. It needs no AWS account and no tenant: it runs with made-up
credentials, and all it talks to is on the loopback interface.

The emulator ignores the routes that SAM writes into an HTTP API's OpenAPI document, so they are added while deploying.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import processes
from tools import ROOT, environment, path_with, say

STACK_NAME = "teams-emergency-alerts"
REGION = "us-east-1"
TENANT_ID = "8e0f5a3c-6d3b-4d0a-9f5e-2b7c1a4d6e90"
CLIENT_ID = "c7a4b1d2-3e5f-4a6b-8c9d-0e1f2a3b4c5d"
CLIENT_SECRET = "local-client-secret"
POLICIES = ["Global", "Warehouse"]
ALERT_EMAIL = "security@example.com"
ALERT_PHONE = "+12065550100"
TEST_EMAIL = "telephony@example.com"
TEST_PHONE = "+12065550199"
PAGERDUTY_KEY = "0123456789abcdef0123456789ABCDEF"


class Failed(Exception):
    """A step did not work; the text is for the person at the terminal."""


def native_architecture() -> str:
    """This machine's architecture by AWS's name."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def aws_environment(endpoint: str, *tools: str) -> dict[str, str]:
    """An environment in which AWS clients reach the emulator and cannot reach anything else by mistake."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL", "TERM", "CARGO_HOME", "RUSTUP_HOME") if name in os.environ}
    return {
        **kept,
        "PATH": path_with(*tools),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "SAM_CLI_TELEMETRY": "0",
    }


def run(what: str, command: list[str], log: Path, env: dict[str, str], directory: Path = ROOT) -> None:
    """Runs one long step, with a sign of life every 20 seconds and its output in a file."""
    say(what)
    begun = time.monotonic()
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            while True:
                try:
                    code = process.wait(timeout=20)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  ... {time.monotonic() - begun:.0f} s  {last_sign(log)}")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise Failed(f"{tail}\nThis failed: {' '.join(command)}\nIts whole output is in {log}.")


def last_sign(log: Path) -> str:
    """The last thing that cargo said it compiles, or else the last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    compiling = [line[line.index("Compiling"):] for line in lines if "Compiling" in line]
    return (compiling or lines or [""])[-1][:90]


# Not .aws-sam/build/: a deployment to AWS must never pick up what was built to be run here.
LOCAL_BUILD = ROOT / "target" / "local-stack"


def build(directory: Path) -> None:
    """Builds the functions and the simulator to be run here, and the template that deploys them; logs go to `directory`.

    They are the tests' own builds. What is deployed to AWS is optimised, which takes several times as long.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # All targets, although the binaries would do: the tests then find everything built, with the same features.
    command = ["cargo", "build", "--locked", "--workspace", "--all-targets"]
    run("Building (some minutes the first time) ...", command, directory / "build.log", {**os.environ, "CARGO_TERM_COLOR": "never"})
    template = (ROOT / "template.yaml").read_text()
    for function in ("receiver", "renewer"):
        place = LOCAL_BUILD / function
        place.mkdir(parents=True, exist_ok=True)
        binary = target_directory() / "debug" / function
        with replacing(place / "bootstrap") as new:
            subprocess.run(["strip", "-o", str(new), str(binary)], check=True)
        source = f"CodeUri: functions/{function}\n"
        if source not in template:
            raise Failed(f"Without the line {source.strip()!r} in template.yaml, local/stack.py cannot tell where the {function} belongs.")
        template = template.replace(source, f"CodeUri: {place}\n")
    with replacing(LOCAL_BUILD / "template.yaml") as new:
        new.write_text(template)


@contextlib.contextmanager
def replacing(file: Path):
    """Another file to write in its place, which it takes at the end: somebody may be deploying the one that is there."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    yield new
    os.replace(new, file)


def build_functions(architecture: str, directory: Path) -> None:
    """Builds both functions for AWS into .aws-sam/build/; logs go to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    if architecture != native_architecture():
        check_target("aarch64-unknown-linux-gnu" if architecture == "arm64" else "x86_64-unknown-linux-gnu")
    sam = environment("sam") / "sam"
    # The build needs the user's own environment: cargo's registry, certificates, proxies.
    env = {
        **os.environ,
        "PATH": path_with("build"),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION", REGION),
        "CARGO_TERM_COLOR": "never",
    }
    # sam build hides what cargo says until it ends. The same commands, run first, show progress and leave it little to do.
    for function in ("receiver", "renewer"):
        command = ["cargo", "lambda", "build", "--release", "--locked", *(["--arm64"] if architecture == "arm64" else [])]
        what = f"Building the {function} for {architecture} (some minutes the first time) ..."
        run(what, command, directory / f"build-{function}.log", env, ROOT / "functions" / function)
    command = [str(sam), "build", "--parameter-overrides", f"Architecture={architecture}"]
    run("Packing the functions with sam build ...", command, directory / "build.log", env)


def check_target(target: str) -> None:
    """Says so if the Rust toolchain has no standard library for this target."""
    rustc = ["rustc", "--print", "target-libdir", "--target", target]
    libraries = Path(subprocess.run(rustc, capture_output=True, text=True, check=True).stdout.strip())
    if not any(libraries.glob("libstd-*")):
        raise Failed(f"Please install Rust's standard library for that architecture first: rustup target add {target}")


def up(name: str = "demo") -> dict:
    """Builds, starts and deploys everything; returns the description that `down` and the tests use."""
    with started(name) as description:
        deploy(description)
        finish(description)
    save(description)
    return description


@contextlib.contextmanager
def started(name: str):
    """Builds and starts everything, and deploys nothing. It ends with the block only if the block fails."""
    down(name)
    directory = ROOT / ".demo" / name
    (directory / "tmp").mkdir(parents=True)
    description: dict = {"name": name, "directory": str(directory), "region": REGION, "processes": []}
    try:
        build(directory)
        start_all(description, directory)
        yield description
    except BaseException:
        # The files stay: they say what went wrong.
        for process in reversed(description["processes"]):
            processes.stop(process)
        raise


def start_all(description: dict, directory: Path) -> None:
    """The proxy, the emulator behind it, and the Graph simulator."""
    say("Starting the AWS emulator and the Graph simulator ...")

    def running(process: dict) -> dict:
        description["processes"].append(process)
        save(description)
        return process

    ministack = start_aws(description, directory, running)
    simulator = running(processes.start("simulator", [
        str(target_directory() / "debug/graph-simulator"), "--port", "0", "--gateway", description["front"],
        "--tenant", TENANT_ID, "--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET,
        *[argument for policy in POLICIES for argument in ("--policy", policy)],
    ], directory, BARE))
    description["simulator"] = processes.listening(simulator)
    description["tenantId"], description["clientId"], description["policies"] = TENANT_ID, CLIENT_ID, POLICIES
    answering(ministack, description)


# What every program gets of this machine's environment.
BARE = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def start_aws(description: dict, directory: Path, running: Callable[[dict], dict]) -> dict:
    """The proxy and the emulator behind it: puts their addresses into the description, and returns the emulator's process.

    `running` is told of each process as soon as there is one. The proxy answers at once, the emulator after `answering`.
    """
    port = processes.free_port()
    front = running(processes.start(
        "front", [str(environment("client") / "python"), str(ROOT / "local/front.py"), "--upstream", f"127.0.0.1:{port}"], directory, BARE
    ))
    description["front"] = processes.listening(front)
    description["emulator"] = f"http://127.0.0.1:{port}"
    return running(processes.start("emulator", [str(environment("emulator") / "python"), str(ROOT / "local/emulator.py")], directory, {
        # The functions inherit this environment, and on AWS they have nothing else either.
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": str(directory / "tmp"),
        "STATE_DIR": str(directory / "tmp"),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": description["front"],
        # The functions' calls are held against the roles that the template gives them.
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "NO_PROXY": "127.0.0.1,localhost",
    }))


def answering(ministack: dict, description: dict) -> None:
    """Waits until the emulator answers."""
    processes.answering(ministack, f"{description['emulator']}/_ministack/health")


@contextlib.contextmanager
def aws_alone(directory: Path):
    """The emulator behind its proxy, without anything deployed; gives their addresses, `emulator` and `front`."""
    (directory / "tmp").mkdir()
    description: dict = {}
    started: list[dict] = []

    def running(process: dict) -> dict:
        started.append(process)
        return process

    try:
        answering(start_aws(description, directory, running), description)
        yield description
    finally:
        for process in reversed(started):
            processes.stop(process)


def target_directory() -> Path:
    done = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return Path(json.loads(done.stdout)["target_directory"])


def deploy(description: dict, **changed: str | None) -> None:
    """Deploys, or updates what is deployed; `changed` are parameters with other values than usual, None for the default."""
    directory = Path(description["directory"])
    parameters = {
        "TenantId": TENANT_ID,
        "ClientId": CLIENT_ID,
        "ClientSecret": CLIENT_SECRET,
        "PolicyNames": ",".join(POLICIES),
        "AlertEmail": ALERT_EMAIL,
        "AlertPhone": ALERT_PHONE,
        "TestEmail": TEST_EMAIL,
        "PagerDutyRoutingKey": PAGERDUTY_KEY,
        "PagerDutyEndpoint": f"{description['front']}/_local/pagerduty",
        "ChatNotifications": "On",
        "TimeZone": "America/New_York",
        "GraphEndpoint": f"{description['simulator']}/v1.0",
        "LoginEndpoint": description["simulator"],
        "Architecture": native_architecture(),
        **changed,
    }
    command = [
        str(environment("sam") / "sam"), "deploy", "--template-file", str(LOCAL_BUILD / "template.yaml"),
        "--stack-name", STACK_NAME, "--resolve-s3", "--capabilities", "CAPABILITY_IAM",
        "--no-confirm-changeset", "--no-progressbar", "--parameter-overrides", *[f"{key}={value}" for key, value in parameters.items() if value is not None],
    ]
    with routes_added(description, directory):
        run("Deploying the template with sam deploy ...", command, directory / "deploy.log", aws_environment(description["emulator"], "sam"))


@contextlib.contextmanager
def routes_added(description: dict, directory: Path):
    """Adds the API's routes meanwhile, if they are not there yet."""
    if description.get("routed"):
        yield
        return
    with open(directory / "routes.log", "wb") as log:
        adding = subprocess.Popen(
            [str(environment("client") / "python"), str(ROOT / "local/finish.py"), "routes"],
            env=aws_environment(description["emulator"]), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
    try:
        yield
        if adding.wait(timeout=30) != 0:
            raise Failed(f"The routes could not be added; {directory / 'routes.log'} says why.")
        description["routed"] = True
    finally:
        adding.kill()
        adding.wait()


def finish(description: dict) -> None:
    """What the emulator or a demonstration needs besides the template: done in the environment that has boto3."""
    finishing = ROOT / "local/finish.py"
    command = [str(environment("client") / "python"), str(finishing), "rest", json.dumps(description)]
    done = subprocess.run(command, env=aws_environment(description["emulator"]), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed("The deployed stack could not be completed for local use.")
    description.update(json.loads(done.stdout))


def description_file(name: str) -> Path:
    return ROOT / ".demo" / name / "stack.json"


def save(description: dict) -> None:
    description_file(description["name"]).write_text(json.dumps(description, indent=2))


def load(name: str = "demo") -> dict:
    try:
        return json.loads(description_file(name).read_text())
    except FileNotFoundError:
        raise Failed("No local stack is up; start one with: make demo KEEP=1") from None


def down(name: str = "demo") -> None:
    """Ends the processes of this stack, if there are any, and removes its files."""
    if description_file(name).is_file():
        for process in reversed(load(name)["processes"]):
            processes.stop(process)
    shutil.rmtree(ROOT / ".demo" / name, ignore_errors=True)


def main() -> None:
    action, *rest = sys.argv[1:] or ["help"]
    name = rest[0] if rest else "demo"
    try:
        if action == "up":
            print(json.dumps(up(name), indent=2))
        elif action == "down":
            down(name)
        elif action == "build":
            build_functions(os.environ.get("ARCH") or native_architecture(), ROOT / ".demo" / "build")
        elif action == "build-all":
            build(ROOT / ".demo" / "build")
        else:
            sys.exit(__doc__)
    except (Failed, processes.NotReady) as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
