"""What a function of Python runs on."""

import sys

import pytest

from trunkline.aws.lambda_platform import INSTALLED, SDK, Platform
from trunkline.errors import ConfigurationError


def test_it_is_the_python_that_asks_unless_somebody_says_otherwise():
    assert str(Platform()) == f"Python {sys.version_info[0]}.{sys.version_info[1]} on x86_64"
    assert str(Platform("3.13", "arm64")) == "Python 3.13 on arm64"


@pytest.mark.parametrize("python", ["3.10", "3.14", "3"])
def test_a_python_that_lambda_does_not_have_is_refused(python):
    with pytest.raises(ConfigurationError, match=rf"Lambda has no Python {python} .*--python 3\.11, 3\.12, 3\.13"):
        Platform(python)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ConfigurationError, match="'aarch64'; expected x86_64 or arm64"):
        Platform("3.11", "aarch64")


def test_what_is_newer_than_the_c_library_of_its_linux_is_not_asked_for():
    assert Platform("3.11", "arm64").for_uv == "aarch64-manylinux_2_17"
    assert Platform("3.12").for_uv == "x86_64-manylinux_2_34"
    assert Platform("3.11").for_pip[0] == "manylinux_2_17_x86_64"
    assert Platform("3.13", "arm64").for_pip[0] == "manylinux_2_34_aarch64"
    assert "manylinux2014_aarch64" in Platform("3.13", "arm64").for_pip


@pytest.mark.parametrize(
    ("tag", "runs"),
    [
        ("py3-none-any", True),
        ("cp311-cp311-manylinux2014_aarch64", True),
        ("cp311-abi3-manylinux_2_17_aarch64", True),
        ("cp311-cp311-manylinux2014_x86_64", False),
        ("cp311-cp311-linux_aarch64", False),
        ("cp311-cp311-musllinux_1_2_aarch64", False),
        ("cp311-cp311-macosx_11_0_arm64", False),
    ],
)
def test_wheels_of_manylinux_for_its_processor_run_on_it_and_those_built_here_do_not(tag, runs):
    assert Platform("3.11", "arm64").runs(tag) is runs


def test_the_sdk_is_part_of_what_is_installed():
    assert SDK < INSTALLED
