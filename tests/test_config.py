"""Settings: where they come from, which source wins, and what is said of a wrong one."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import ConfigurationError
from trunkline.config import Rate, Settings, parse_address, parse_limits, parse_rates, settings


@pytest.fixture
def pyproject(tmp_path):
    def write(text):
        (tmp_path / "pyproject.toml").write_text(text)
        return tmp_path

    return write


def test_defaults_are_for_a_laptop(tmp_path):
    assert settings(tmp_path, {}, {}) == Settings(
        host="127.0.0.1", port=8000, store="sqlite:", web=None, admin=None, limit={}
    )


def test_settings_cannot_be_changed(tmp_path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings(tmp_path, {}, {}).port = 1


def test_every_setting_can_come_from_every_source(pyproject, tmp_path):
    wanted = Settings("0.0.0.0", 1, "memory:", "web", "off", {"idle_seconds": 5.0})
    flags = {f.name: getattr(wanted, f.name) for f in dataclasses.fields(Settings)}
    environ = {
        "TRUNKLINE_HOST": "0.0.0.0", "TRUNKLINE_PORT": "1", "TRUNKLINE_STORE": "memory:", "TRUNKLINE_WEB": "web",
        "TRUNKLINE_ADMIN": "off", "TRUNKLINE_LIMIT": "idle_seconds=5",
    }  # fmt: skip
    assert settings(tmp_path, flags, {}) == wanted
    assert settings(tmp_path, {}, environ) == wanted
    folder = pyproject(
        '[tool.trunkline]\nhost = "0.0.0.0"\nport = 1\nstore = "memory:"\nweb = "web"\nadmin = "off"\n'
        "[tool.trunkline.limit]\nidle_seconds = 5\n"
    )
    assert settings(folder, {}, {}) == wanted


def test_flags_win_over_the_environment_and_that_over_pyproject(pyproject):
    folder = pyproject('[tool.trunkline]\nhost = "a"\nport = 1\nstore = "memory:"\n')
    chosen = settings(folder, {"host": "c", "port": None}, {"TRUNKLINE_HOST": "b", "TRUNKLINE_PORT": "2"})
    assert (chosen.host, chosen.port, chosen.store) == ("c", 2, "memory:")


def test_limits_of_all_sources_are_joined_by_name(pyproject):
    folder = pyproject("[tool.trunkline.limit]\nframe_bytes = 1\nidle_seconds = 1\nhandler_seconds = 1\n")
    environ = {"TRUNKLINE_LIMIT": "idle_seconds=2,handler_seconds=2"}
    assert settings(folder, {"limit": {"handler_seconds": 3.5}}, environ).limit == {
        "frame_bytes": 1, "idle_seconds": 2, "handler_seconds": 3.5,
    }  # fmt: skip


def test_limits_in_pyproject_may_be_texts_as_on_the_command_line(pyproject):
    folder = pyproject('[tool.trunkline]\nlimit = ["frame_bytes=1"]\n')
    assert settings(folder, {}, {}).limit == {"frame_bytes": 1}


def test_the_processs_environment_is_read_and_what_is_empty_or_unknown_in_it_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUNKLINE_PORT", "9")
    monkeypatch.setenv("TRUNKLINE_HOST", "")
    monkeypatch.setenv("TRUNKLINE_LOOP", "asyncio")
    monkeypatch.delenv("TRUNKLINE_STORE", raising=False)
    chosen = settings(tmp_path, {})
    assert (chosen.port, chosen.host) == (9, "127.0.0.1")


@pytest.mark.parametrize(
    "text", ["", "[tool.other]\nx = 1\n", "[project]\nname = 'x'\n", "[tool.trunkline]\n", "tool = 5\n"]
)
def test_a_pyproject_that_says_nothing_of_trunkline_is_nothing(pyproject, text):
    assert settings(pyproject(text), {}, {}) == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[tool.trunkline]\nprot = 1\n",
            r"\[tool.trunkline\] of pyproject.toml sets 'prot'; known are account, admin, code_root, drain, dynamodb, grace, host",
        ),
        ("[tool]\ntrunkline = 5\n", r"has tool.trunkline = 5; expected a table"),
        ("[tool.trunkline\n", r"pyproject.toml cannot be read: "),
        ("[tool.trunkline]\nhost = 5\n", r"sets host to 5; expected a text"),
        ("[tool.trunkline]\nweb = false\n", r"sets web to False; expected a text"),
        ("[tool.trunkline]\nport = 80.5\n", r"sets port to 80.5; expected 0 to 65535"),
        ("[tool.trunkline]\nport = true\n", r"sets port to True; expected 0 to 65535"),
        ("[tool.trunkline]\nport = []\n", r"sets port to \[\]; expected 0 to 65535"),
        ("[tool.trunkline]\nlimit = 5\n", r"sets limit to 5; expected a table, or texts NAME=NUMBER"),
        ("[tool.trunkline]\nlimit = 'frame_bytes=1'\n", r"sets limit to 'frame_bytes=1'; expected a table"),
        ("[tool.trunkline]\nlimit = [5]\n", r"has limit 5; expected NAME=NUMBER"),
        ("[tool.trunkline.limit]\nidle = 5\n", r"limits 'idle'; known are frame_bytes, message_bytes, idle_seconds"),
        (
            "[tool.trunkline.limit]\nidle_seconds = true\n",
            r"sets limit idle_seconds to True; expected a number above 0",
        ),
    ],
)
def test_what_is_wrong_in_pyproject_is_told(pyproject, text, message):
    with pytest.raises(ConfigurationError, match=message):
        settings(pyproject(text), {}, {})


def test_a_pyproject_that_is_not_utf_8_is_told(tmp_path):
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"pyproject.toml cannot be read: 'utf-8' codec"):
        settings(tmp_path, {}, {})


@pytest.mark.parametrize("port", ["-1", "65536", "x", "", "1.5"])
def test_a_port_is_0_to_65535_wherever_it_comes_from(tmp_path, port):
    with pytest.raises(ConfigurationError, match=f"the command line sets port to '{port}'; expected 0 to 65535"):
        settings(tmp_path, {"port": port}, {})
    if port:
        with pytest.raises(ConfigurationError, match=f"the environment sets port to '{port}'"):
            settings(tmp_path, {}, {"TRUNKLINE_PORT": port})
    assert settings(tmp_path, {"port": 65535}, {}).port == 65535
    assert settings(tmp_path, {}, {"TRUNKLINE_PORT": "0"}).port == 0


def test_a_flag_that_is_none_was_not_given_and_one_that_is_unknown_is_told(tmp_path):
    assert settings(tmp_path, dict.fromkeys(("host", "port", "web")), {}) == Settings()
    with pytest.raises(ConfigurationError, match="the command line sets 'colour'"):
        settings(tmp_path, {"colour": "red"}, {})


# Signed calls.


def test_who_signs_and_for_what_can_come_from_every_source(pyproject, tmp_path):
    wanted = Settings(
        verify_signatures=True,
        keys="keys.json",
        host_name=("api.example", "b"),
        region="eu-central-1",
        account="123456789012",
    )
    names = ("verify_signatures", "keys", "host_name", "region", "account")
    environ = {
        "TRUNKLINE_VERIFY_SIGNATURES": "true", "TRUNKLINE_KEYS": "keys.json", "TRUNKLINE_HOST_NAME": "api.example,b",
        "TRUNKLINE_REGION": "eu-central-1", "TRUNKLINE_ACCOUNT": "123456789012",
    }  # fmt: skip
    assert settings(tmp_path, {name: getattr(wanted, name) for name in names}, {}) == wanted
    assert settings(tmp_path, {}, environ) == wanted
    folder = pyproject(
        '[tool.trunkline]\nverify_signatures = true\nkeys = "keys.json"\nhost_name = ["api.example", "b"]\n'
        'region = "eu-central-1"\naccount = "123456789012"\n'
    )
    assert settings(folder, {}, {}) == wanted


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1", True),
        ("Yes", True),
        ("on", True),
        ("TRUE", True),
        ("0", False),
        ("no", False),
        ("off", False),
        ("False", False),
    ],
)
def test_a_switch_is_a_word(tmp_path, word, value):
    assert settings(tmp_path, {}, {"TRUNKLINE_VERIFY_SIGNATURES": word}).verify_signatures is value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("verify_signatures", "maybe", "sets verify_signatures to 'maybe'; expected true or false"),
        ("verify_signatures", 2, "sets verify_signatures to 2; expected true or false"),
        ("keys", 5, "sets keys to 5; expected a text"),
        ("host_name", "api.example:443", "host_name 'api.example:443': expected a name without a port"),
        ("host_name", [""], "host_name '': expected a name without a port"),
        ("host_name", ["a..b"], "host_name 'a..b': expected a name without a port"),
        ("region", "moon", "sets region to 'moon'; expected an AWS Region, such as us-east-1"),
        ("region", "eu-central-1/x", "sets region to 'eu-central-1/x'; expected an AWS Region"),
        ("account", "12345", "sets account to '12345'; expected the 12 digits of an AWS account"),
        ("account", 123456789012, "sets account to 123456789012; expected a text"),
    ],
)
def test_what_is_wrong_with_them_is_told(tmp_path, name, value, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        settings(tmp_path, {name: value}, {})


# The door, and the end.

DOOR = {
    "grace": 2.5, "drain": 10.0, "max_connections": 1000, "max_per_address": 20, "trust_proxy": ("10.0.0.0/8", "::1"),
    "origin": ("https://app.example", "http://localhost:5173"),
}  # fmt: skip


def test_the_door_can_be_set_from_every_source(pyproject, tmp_path):
    wanted = dataclasses.replace(Settings(), **DOOR)
    environ = {
        "TRUNKLINE_GRACE": "2.5", "TRUNKLINE_DRAIN": "10", "TRUNKLINE_MAX_CONNECTIONS": "1000", "TRUNKLINE_MAX_PER_ADDRESS": "20",
        "TRUNKLINE_TRUST_PROXY": "10.0.0.0/8, ::1", "TRUNKLINE_ORIGIN": "https://app.example,http://localhost:5173",
    }  # fmt: skip
    texts = {"grace": "2.5", "drain": "10", "max_connections": "1000", "max_per_address": "20"}
    lists = {"trust_proxy": ["10.0.0.0/8", "::1"], "origin": list(DOOR["origin"])}
    assert settings(tmp_path, texts | lists, {}) == wanted
    assert settings(tmp_path, {}, environ) == wanted
    folder = pyproject(
        "[tool.trunkline]\ngrace = 2.5\ndrain = 10\nmax_connections = 1000\nmax_per_address = 20\n"
        'trust_proxy = ["10.0.0.0/8", "::1"]\norigin = ["https://app.example", "http://localhost:5173"]\n'
    )
    assert settings(folder, {}, {}) == wanted


def test_one_proxy_or_origin_need_be_no_list(pyproject):
    folder = pyproject('[tool.trunkline]\ntrust_proxy = "10.0.0.1"\norigin = "https://app.example"\n')
    chosen = settings(folder, {}, {})
    assert (chosen.trust_proxy, chosen.origin) == (("10.0.0.1",), ("https://app.example",))


def test_a_later_list_takes_the_place_of_an_earlier_one(pyproject):
    folder = pyproject('[tool.trunkline]\norigin = ["https://a.example"]\n')
    assert settings(folder, {"origin": ["https://b.example"]}, {}).origin == ("https://b.example",)


@pytest.mark.parametrize("name", ["grace", "drain"])
@pytest.mark.parametrize("value", ["-1", "x", "", "nan", "inf", "3601", True, []])
def test_a_time_is_0_to_3600_seconds(tmp_path, name, value):
    with pytest.raises(ConfigurationError) as refused:
        settings(tmp_path, {name: value}, {})
    assert str(refused.value) == f"the command line sets {name} to {value!r}; expected seconds from 0 to 3600"


@pytest.mark.parametrize("name", ["max_connections", "max_per_address"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "", "1.5", 1.5, True, []])
def test_a_count_is_a_whole_number_above_0(tmp_path, name, value):
    with pytest.raises(ConfigurationError) as refused:
        settings(tmp_path, {name: value}, {})
    assert str(refused.value) == f"the command line sets {name} to {value!r}; expected a whole number above 0"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("trust_proxy", ["10.0.0.1/8"], "trust_proxy '10.0.0.1/8': expected an address or a network, such as 10.0.0.0/8"),
        ("trust_proxy", ["proxy.example"], "trust_proxy 'proxy.example': expected an address or a network, such as 10.0.0.0/8"),
        ("trust_proxy", 5, "the command line sets trust_proxy to 5; expected a list of texts"),
        ("trust_proxy", [5], "the command line sets trust_proxy to [5]; expected a list of texts"),
        ("origin", ["*"], "origin '*': expected what browsers send, such as https://app.example"),
        ("origin", ["https://app.example/"], "origin 'https://app.example/': expected what browsers send, such as https://app.example"),
        ("origin", {"a": 1}, "the command line sets origin to {'a': 1}; expected a list of texts"),
    ],
)  # fmt: skip
def test_a_proxy_or_an_origin_that_is_none_is_told(tmp_path, name, value, message):
    with pytest.raises(ConfigurationError) as refused:
        settings(tmp_path, {name: value}, {})
    assert str(refused.value) == message


# Limits.


def test_limits_are_names_and_numbers():
    assert parse_limits("x", ["frame_bytes=65536", " idle_seconds = 1.5 ", "message_bytes=1e3"]) == {
        "frame_bytes": 65536, "idle_seconds": 1.5, "message_bytes": 1000,
    }  # fmt: skip
    assert type(parse_limits("x", ["frame_bytes=65536"])["frame_bytes"]) is int
    assert parse_limits("x", []) == parse_limits("x", {}) == {}


@pytest.mark.parametrize("value", ["0", "-1", "", "x", "nan", "inf", "1,5", "0x10"])
@pytest.mark.parametrize("name", ["frame_bytes", "idle_seconds"])
def test_a_limit_is_a_number_above_0(name, value):
    with pytest.raises(ConfigurationError) as refused:
        parse_limits("--limit", [f"{name}={value}"])
    kind = "whole number" if name == "frame_bytes" else "number"
    assert str(refused.value) == f"--limit sets limit {name} to {value!r}; expected a {kind} above 0"


@pytest.mark.parametrize("value", ["0.5", "1.5", 2.25])
def test_bytes_are_whole(value):
    with pytest.raises(ConfigurationError, match="expected a whole number above 0"):
        parse_limits("--limit", {"frame_bytes": value})


@pytest.mark.parametrize("text", ["frame_bytes", "", "=1", "nothing=1"])
def test_a_limit_without_a_known_name_is_told(text):
    with pytest.raises(ConfigurationError, match="^--limit (has limit|limits) "):
        parse_limits("--limit", [text])


# Addresses.


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8001", ("127.0.0.1", 8001)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("::1:80", ("::1", 80)),
    ],
)
def test_an_address_is_host_and_port(text, address):
    assert parse_address(text, "--admin") == address


@given(st.one_of(st.text(), st.text().map("localhost:{}".format)))
def test_any_text_is_an_address_or_is_told(text):
    try:
        host, port = parse_address(text, "--admin")
    except ConfigurationError as error:
        assert str(error) == f"--admin is {text!r}; expected HOST:PORT, such as 127.0.0.1:8001"
    else:
        assert 0 <= port <= 65535
        assert text.endswith(str(port))


@pytest.mark.parametrize(
    "text", ["8001", ":8001", "localhost:", "localhost:65536", "a:²", "a:-1", "a:" + "1" * 5000, "off"]
)
def test_what_is_no_address_is_told(text):
    with pytest.raises(ConfigurationError, match="expected HOST:PORT"):
        parse_address(text, "--admin")


# Rates.


def test_a_rate_is_so_many_a_second_and_so_many_at_once():
    assert parse_rates(
        "x", ["connects=500", " requests = 10000/5000 ", "address.messages=0.5", "address.connects=2.5/9"]
    ) == {
        "connects": Rate(500, 500),
        "requests": Rate(10_000, 5_000),
        "address.messages": Rate(0.5, 1),
        "address.connects": Rate(2.5, 9),
    }
    assert parse_rates("x", []) == parse_rates("x", {}) == {}
    assert str(Rate(1_234_567, 5)) == "1234567/5"


def test_a_rate_may_be_a_sockets_or_a_routes_whatever_that_is_called():
    names = ["socket.chat", "socket.chat.bid", "socket.chat.$connect", "socket.chat.a.b", "socket.chat.a=b"]
    assert list(parse_rates("x", [f"{name}=1/2" for name in names])) == names


def test_in_a_table_rates_may_be_numbers_texts_and_tables(pyproject):
    folder = pyproject(
        '[tool.trunkline.rate]\nconnects = 500\naddress = { connects = "20/40", messages = 0.5 }\n"socket.chat.a.b" = "1/2"\n'
        "[tool.trunkline.rate.socket.chat]\nbid = 3\n"
    )
    assert settings(folder, {}, {}).rate == {
        "connects": Rate(500, 500),
        "address.connects": Rate(20, 40),
        "address.messages": Rate(0.5, 1),
        "socket.chat.a.b": Rate(1, 2),
        "socket.chat.bid": Rate(3, 3),
    }


def test_rates_of_all_sources_are_joined_by_name(pyproject):
    folder = pyproject("[tool.trunkline.rate]\nconnects = 1\nrequests = 1\naddress.connects = 1\n")
    chosen = settings(folder, {"rate": ["address.connects=3"]}, {"TRUNKLINE_RATE": "requests=2/20,address.connects=2"})
    assert chosen.rate == {"connects": Rate(1, 1), "requests": Rate(2, 20), "address.connects": Rate(3, 3)}


@pytest.mark.parametrize(
    "value", ["", "0", "0/5", "5/0", "-1", "5/-1", "5/1.5", "1e3", "inf", "nan", "5/", "/5", "many", True, None, []]
)
def test_a_rate_that_is_none_is_told(value):
    with pytest.raises(ConfigurationError) as caught:
        parse_rates("--rate", {"connects": value})
    assert str(caught.value) == (
        f"--rate sets rate connects to {value!r}; expected PER_SECOND or PER_SECOND/BURST above 0, such as 500 or 10000/5000"
    )


@pytest.mark.parametrize(
    "name", ["connect", "address", "address.requests", "socket", "socket.", "socket..a", "socket.a.", ""]
)
def test_a_rate_of_a_name_that_is_none_is_told(name):
    with pytest.raises(ConfigurationError) as caught:
        parse_rates("--rate", [f"{name}=5"])
    assert str(caught.value) == (
        f"--rate has rate {name!r}; known are connects, requests, address.connects, address.messages, socket.NAME and "
        "socket.NAME.ROUTE"
    )


def test_a_rate_without_a_number_is_told():
    with pytest.raises(
        ConfigurationError, match="has rate 'connects'; expected NAME=PER_SECOND/BURST, such as connects=20/40"
    ):
        parse_rates("--rate", ["connects"])


def test_rates_that_are_neither_a_table_nor_texts_are_told():
    with pytest.raises(ConfigurationError, match="sets rate to 5; expected a table, or texts NAME=PER_SECOND/BURST"):
        parse_rates("--rate", 5)


@pytest.mark.parametrize("name", ["quotas", "like"])
def test_quotas_and_like_are_aws_or_none(tmp_path, name):
    assert getattr(settings(tmp_path, {}, {}), name) == "none"
    assert getattr(settings(tmp_path, {name: "AWS"}, {}), name) == "aws"
    with pytest.raises(ConfigurationError, match=f"sets {name} to 'azure'; expected none or aws"):
        settings(tmp_path, {name: "azure"}, {})


def test_parameters_of_a_template_are_joined_by_name(pyproject):
    folder = pyproject('[tool.trunkline]\nparameter = { Stage = "dev", Table = "a" }\n')
    chosen = settings(folder, {"parameter": ["Table=b=c"]}, {"TRUNKLINE_PARAMETER": "Size=3"})
    assert chosen.parameter == {"Stage": "dev", "Table": "b=c", "Size": "3"}


@pytest.mark.parametrize("text", ["Stage", "=dev", ""])
def test_a_parameter_is_a_name_and_a_value(tmp_path, text):
    with pytest.raises(ConfigurationError, match="expected NAME=VALUE"):
        settings(tmp_path, {"parameter": [text]}, {})


def test_a_dynamodb_is_named_by_its_url(tmp_path):
    assert settings(tmp_path, {"dynamodb": "http://127.0.0.1:4567"}, {}).dynamodb == "http://127.0.0.1:4567"
    with pytest.raises(ConfigurationError, match="expected a URL such as"):
        settings(tmp_path, {"dynamodb": "127.0.0.1:4567"}, {})
