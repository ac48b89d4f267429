"""The set-up: what it installs and in which order, and what it refuses in one line."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.study import ROOT

LOCKS = ("requirements-uv.lock", "requirements.lock")
PROJECT = ("pyproject.toml", "vanishing/version.py")
# Commands of the shell and of this test that have to be on a PATH of fake commands alone.
NEEDED = ("awk", "cat", "chmod", "cksum", "cp", "df", "head", "ln", "mkdir", "rm")
# Copies itself into the environment that it creates, with a Python that has no pip.
FAKE_UV = f"""
printf '%s\\n' "$*" >>calls
case "$1" in venv)
    mkdir -p .venv/bin
    cat >.venv/bin/python <<'END'
#!/bin/sh
case "$2" in *pip*) exit 1;; esac
exec {sys.executable} "$@"
END
    chmod +x .venv/bin/python;;
esac
case "$*" in *requirements-uv.lock) cp "$0" .venv/bin/uv;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a Git checkout with the set-up and all that it reads, and a bin/ for fake commands."""
    folder = tmp_path / "checkout"
    (tmp_path / "bin").mkdir()
    for name in ("tools/setup.sh", *LOCKS, *PROJECT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def fake(checkout: Path, name: str, script: str) -> Path:
    """Put a command before all others on PATH."""
    path = checkout.parent / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def only_fakes(checkout: Path, *commands: str) -> str:
    """Return a PATH with fake commands, those that the shell needs, and `commands`, alone."""
    for name in (*NEEDED, *commands):
        fake(checkout, name, f'exec {shutil.which(name)} "$@"')
    return str(checkout.parent / "bin")


def setup(checkout: Path, path: str | None = None, **variables: str) -> tuple[int, str]:
    """Run the set-up; return its exit status and what it printed."""
    first = f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    inherited = {key: value for key, value in os.environ.items() if key not in {"CI", "PYTHON"}}
    done = subprocess.run(
        ["/bin/sh", "tools/setup.sh"],
        cwd=checkout,
        env={**inherited, "PATH": path or first, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def checksum(*contents: bytes) -> bytes:
    """Return what `cksum` prints of contents put together."""
    joined = b"".join(contents)
    return subprocess.run(["cksum"], input=joined, capture_output=True, check=True).stdout


@pytest.fixture
def installed(checkout: Path) -> Path:
    """Give a checkout whose environment is as locked, with a uv that notes how it is called."""
    binaries = checkout / ".venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(Path(sys.executable).resolve())
    shutil.copy(fake(checkout, "noting-uv", FAKE_UV), binaries / "uv")
    locks, project = (
        [(checkout / name).read_bytes() for name in names] for names in (LOCKS, PROJECT)
    )
    (checkout / ".venv/.locked").write_bytes(checksum(*locks))
    (checkout / ".venv/.installed").write_bytes(checksum(f"{checkout}\n".encode(), *project))
    return checkout


def calls(checkout: Path) -> list[str]:
    """Return the arguments of each call of the fake uv."""
    file = checkout / "calls"
    return file.read_text().splitlines() if file.exists() else []


def refused(checkout: Path, message: str, path: str | None = None, **variables: str) -> None:
    """Check that the set-up refuses in one line and leaves nothing behind."""
    status, printed = setup(checkout, path, **variables)
    assert status == 1
    assert printed.count("\n") == 1, printed
    assert message in printed
    assert not (checkout / ".venv").exists()


def test_an_unsupported_python_is_refused(checkout: Path) -> None:
    old = fake(checkout, "python3.10", '[ "$1" = --version ] && echo Python 3.10.4 || exit 1')
    refused(checkout, "3.11, 3.12, 3.13 or 3.14 is needed", PYTHON=str(old))
    refused(checkout, "Python 3.10.4", PYTHON=str(old))


def test_a_missing_python_is_named(checkout: Path) -> None:
    refused(checkout, "/nowhere/python is 'not found'", PYTHON="/nowhere/python")
    refused(checkout, "or install uv, which brings one", path=only_fakes(checkout, "git"))


def test_a_missing_git_is_named(checkout: Path) -> None:
    refused(checkout, "git is needed", path=only_fakes(checkout))


def test_a_folder_that_is_no_checkout_is_refused(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    refused(checkout, "not a Git checkout", GIT_CEILING_DIRECTORIES=str(checkout.parent))


def test_a_full_disk_is_refused_before_anything_is_written(checkout: Path) -> None:
    fake(checkout, "df", "printf 'head\\nfs 100 99 1048576 99%% /\\n'")
    refused(checkout, "11 GiB of free disk are needed here and 1 GiB are free")


@pytest.mark.parametrize(("home", "cache"), [("home", ""), ("file/home", ".venv/cache")])
def test_a_home_that_cannot_be_written_needs_no_cache(
    installed: Path, tmp_path: Path, home: str, cache: str
) -> None:
    (tmp_path / "file").touch()
    uv = installed / ".venv/bin/uv"
    uv.write_text(f'{uv.read_text()}\necho "${{UV_CACHE_DIR:-}}" >cache\n')
    (installed / ".venv/.locked").unlink()
    variables = {"HOME": str(tmp_path / home), "XDG_CACHE_HOME": "", "UV_CACHE_DIR": ""}
    assert setup(installed, **variables)[0] == 0
    assert (installed / "cache").read_text() == f"{cache}\n"


def test_uv_brings_a_python_where_none_is_supported(checkout: Path) -> None:
    fake(checkout, "uv", FAKE_UV)
    status, printed = setup(checkout, path=only_fakes(checkout, "git"))
    assert status == 0, printed
    assert printed.count("\n") == 2  # that uv brings Python, and that requirements are installed
    assert [call.split(" --")[0] for call in calls(checkout)] == [
        "venv",
        "pip install",  # uv itself, as locked
        "pip sync",
        "pip install",  # the project
    ]
    assert setup(checkout, path=only_fakes(checkout, "git")) == (0, "")
    assert len(calls(checkout)) == 4


def test_an_environment_of_an_unsupported_python_is_replaced(installed: Path) -> None:
    binaries = installed / ".venv/bin"
    (binaries / "python").unlink()
    (binaries / "python").write_text("#!/bin/sh\nexit 1\n")
    (binaries / "python").chmod(0o755)
    fake(installed, "uv", FAKE_UV)
    path = f"{binaries}{os.pathsep}{only_fakes(installed, 'git')}"  # as Make sets it
    status, printed = setup(installed, path)
    assert status == 0, printed
    assert [call.split(" --")[0] for call in calls(installed)][:2] == ["venv", "pip install"]


def test_an_environment_that_is_as_locked_is_left_alone(installed: Path) -> None:
    assert setup(installed) == (0, "")
    assert calls(installed) == []


@pytest.mark.parametrize("name", PROJECT)
def test_a_changed_project_is_installed_again_without_a_network(installed: Path, name: str) -> None:
    with (installed / name).open("a") as file:
        file.write("# changed\n")
    assert setup(installed) == (0, "")
    (call,) = calls(installed)
    assert call.endswith("--editable .")
    assert {"--offline", "--no-deps", "--no-build-isolation"} < set(call.split())


def test_a_changed_lock_is_installed_and_then_the_project(installed: Path) -> None:
    with (installed / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    status, printed = setup(installed)
    assert status == 0
    assert printed.count("\n") == 1
    assert [call.split(" --")[0] for call in calls(installed)] == ["pip sync", "pip install"]


def test_a_failed_installation_is_one_line_that_names_the_log(installed: Path) -> None:
    (installed / ".venv/bin/uv").write_text("#!/bin/sh\necho error: no host\necho hint\nexit 2\n")
    (installed / ".venv/.locked").unlink()
    status, printed = setup(installed)
    assert status == 1
    assert printed.splitlines()[1:] == [
        "setup: the locked requirements could not be installed: error: no host; mend that and"
        " run the same command again (.venv/setup.log has all that was printed)"
    ]
    assert (installed / ".venv/setup.log").read_text() == "error: no host\nhint\n"
    assert "no host" in setup(installed, CI="true")[1]  # CI keeps no file


def test_settings_of_another_place_are_not_passed_on(installed: Path) -> None:
    (installed / ".venv/bin/uv").write_text("#!/bin/sh\nenv >variables\n")
    (installed / ".venv/.locked").unlink()
    names = ["PIP_TARGET", "PIP_CONSTRAINT", "UV_TARGET", "UV_WORKING_DIR", "UV_REQUIRE_HASHES"]
    names += ["UV_NO_BUILD", "PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "GIT_DIR"]
    settings = dict.fromkeys(names, "elsewhere") | {"PIP_USER": "1", "PIP_INDEX_URL": "a mirror"}
    status, printed = setup(installed, **settings)
    assert status == 0, printed
    variables = (installed / "variables").read_text().splitlines()
    assert [line for line in variables if line.endswith("=elsewhere")] == []
    assert "PIP_USER=0" in variables
    assert "PIP_INDEX_URL=a mirror" in variables


@pytest.mark.slow
def test_settings_of_pip_in_a_file_are_not_followed(checkout: Path) -> None:
    settings = checkout.parent / "pip.conf"
    settings.write_text("[global]\nuser = true\nconstraint = /nowhere\nno-binary = :all:\n")
    wheel = checkout / "uv-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        script = zipfile.ZipInfo("uv-1.data/scripts/uv")
        script.external_attr = 0o100755 << 16  # a file that may be run
        archive.writestr(script, f"#!/bin/sh{FAKE_UV}")
        archive.writestr("uv-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 1\n")
        archive.writestr("uv-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("uv-1.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    requirement = f"uv @ {wheel.as_uri()} --hash=sha256:{digest}\n"
    (checkout / "requirements-uv.lock").write_text(requirement)
    status, printed = setup(checkout, PIP_CONFIG_FILE=str(settings), PYTHON=sys.executable)
    assert status == 0, printed
    assert [call.split(" --")[0] for call in calls(checkout)] == ["pip sync", "pip install"]


def test_a_pip_that_installs_elsewhere_is_named(installed: Path) -> None:
    (installed / ".venv/bin/uv").unlink()
    (installed / ".venv/.locked").unlink()
    (installed / ".venv/bin/python").unlink()
    fake(installed, "python", "exit 0")  # of a pip that ends well and puts nothing here
    (installed.parent / "bin/python").rename(installed / ".venv/bin/python")
    status, printed = setup(installed)
    assert status == 1
    assert printed.splitlines()[-1] == (
        "setup: pip put uv elsewhere than into .venv, as its settings say (pip config list has"
        " them); run: PIP_CONFIG_FILE=/dev/null make setup"
    )


def test_a_folder_that_a_larger_repository_ignores_is_refused(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    subprocess.run(["git", "init", "-q"], cwd=checkout.parent, check=True)
    (checkout.parent / ".gitignore").write_text("*\n")
    refused(checkout, "ignores this folder, and DVC refuses what Git ignores; use 'git init' here")


def test_the_environment_of_a_copied_checkout_is_its_own(installed: Path) -> None:
    copy = installed.with_name("copy")
    shutil.copytree(installed, copy, symlinks=True)
    assert setup(copy) == (0, "")
    activate = (copy / ".venv/bin/activate").read_text().replace('"', "")  # versions quote or not
    assert f"\nVIRTUAL_ENV={copy}/.venv\n" in activate
    assert "relocatable = true\n" in (copy / ".venv/pyvenv.cfg").read_text()


@pytest.mark.parametrize("name", ["a:b", "a?b"])
def test_a_folder_whose_name_other_programs_cannot_have_is_refused(
    checkout: Path, name: str
) -> None:
    folder = checkout.rename(checkout.parent / name)
    refused(folder, f"{folder} has a ':' or '?'")


def test_a_checkout_of_another_user_is_refused_with_gits_remedy(checkout: Path) -> None:
    says = f"fatal: detected dubious ownership in repository at '{checkout}'"
    fake(checkout, "git", f'echo "{says}" >&2\nexit 128')
    refused(checkout, f"git config --global --add safe.directory '{checkout}'")
