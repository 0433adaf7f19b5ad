"""Route selection expressions, against the language of API Gateway."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DeclarationError
from trunkline.model.expressions import compile_selector

MEMBER = "$request.body.action"
FORMS = ["$request.body.action", "${request.body.action}", "$request.body.a.b", "-${request.body.action}", r"\$default"]


@pytest.mark.parametrize(
    ("expression", "body", "key"),
    [
        (MEMBER, {"action": "echo", "other": 1}, "echo"),
        ("${request.body.action}", {"action": "echo"}, "echo"),
        ("$request.body.a.b", {"a": {"b": "x"}}, "x"),
        ("${request.body.a.b.c}", {"a": {"b": {"c": "x"}}}, "x"),
        ("${request.body.service}/${request.body.action}", {"service": "chat", "action": "join"}, "chat/join"),
        ("${request.body.version}-beta", {"version": "v2"}, "v2-beta"),
        ("v1.$request.body.action", {"action": "echo"}, "v1.echo"),
        ("$request.body.a$request.body.b", {"a": "x", "b": "y"}, "xy"),
        ("$request.body.a/$request.body.b!", {"a": "x", "b": "y"}, "x/y!"),
        ("${request.body.a}b", {"a": "x", "ab": "y"}, "xb"),
        ("$request.body.a.", {"a": "x"}, "x."),
        (r"\$default", {"action": "echo"}, "$default"),
        (r"\$request.body.action", {"action": "echo"}, "$request.body.action"),
        (r"\$\$$request.body.a", {"a": "x"}, "$$x"),
        (r"a\b$request.body.a", {"a": "x"}, r"a\bx"),
        ("static", {"action": "echo"}, "static"),
        ("two\nlines", {}, "two\nlines"),
        ("$request.body.a-b_C9", {"a-b_C9": "x"}, "x"),
        (MEMBER, {"action": "$default"}, "$default"),
        (MEMBER, {"action": MEMBER}, MEMBER),
        (MEMBER, {"action": "é𝄞 \"\n"}, "é𝄞 \"\n"),
        ("-" + MEMBER, {"action": ""}, "-"),
    ],
)  # fmt: skip
def test_what_is_selected(expression, body, key):
    select = compile_selector(expression)
    for text in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
        assert select(text) == key
        assert select(text.encode()) == key


@pytest.mark.parametrize("expression", ["$request.body.action", "$request.body.outer.action"])
@pytest.mark.parametrize(
    ("value", "key"),
    [
        ('"echo"', "echo"), ("1", "1"), ("-1.5", "-1.5"), ("true", "true"), ("false", "false"), ("null", "null"),
        ("[]", "[]"), ('["a"]', "[a]"), ('["item1", "item2"]', "[item1, item2]"), ('[1,true,"x"]', "[1, true, x]"),
        ('["a",["b","c"],[]]', "[a, [b, c], []]"), ('[{"a": "b"}]', '[{"a":"b"}]'), ("{}", "{}"),
        ('{"a": [1, "b"]}', '{"a":[1,"b"]}'), ('"\\u0061"', "a"), ("123456789012345678901234567890", "123456789012345678901234567890"),
    ],
)  # fmt: skip
def test_how_a_value_is_written(expression, value, key):
    nested = expression.count(".") == 3
    text = f'{{"outer": {{"action": {value}}}}}' if nested else f'{{"action": {value}}}'
    assert compile_selector(expression)(text) == key


@pytest.mark.parametrize("expression", ["$request.body.a", "$request.body.a.b", "$request.body.a.b.c"])
@pytest.mark.parametrize("text", ["{}", '{"b": "x"}', '{"A": "x"}', '{"c": {"a": {"b": "x"}}}'])
def test_a_missing_member_is_the_empty_string(expression, text):
    assert compile_selector(expression)(text) == ""


@pytest.mark.parametrize("inner", ['"b"', "1", "null", '["b"]', "[]", '{"c": "x"}'])
def test_a_path_through_what_has_no_members_is_the_empty_string(inner):
    assert compile_selector("$request.body.a.b")(f'{{"a": {inner}}}') == ""


def test_a_missing_member_in_a_mixture_leaves_the_rest():
    assert compile_selector("${request.body.service}/${request.body.action}")('{"action": "x"}') == "/x"


@pytest.mark.parametrize("expression", ["$request.body.action", "${request.body.action}/x"])
def test_of_a_repeated_member_the_last_counts(expression):
    assert compile_selector(expression)('{"action": "a", "action": "b"}').startswith("b")


NOT_OBJECTS = [
    "", " ", "hello", "1", "null", "true", '"action"', "[]", '[{"action": "x"}]', "{", "}", '{"action"}', '{"action": }',
    '{"action": "x"', '{"action": "x",}', '{"action": "x"} y', '{"action": "x"}{}', "{'action': 'x'}", '{action: "x"}',
    '{"action": "x", "n": NaN}', '{"action": "x", "n": 01}', '{"action": "x", "n": "\t"}', '{"action": "x", "n": "\\q"}',
    '{"action": "\\ud800"}', '{"action": "x", "n": "\\ud800"}', '\ufeff{"action": "x"}', '{"action": "x"}\0',
]  # fmt: skip


@pytest.mark.parametrize("expression", FORMS)
@pytest.mark.parametrize("text", NOT_OBJECTS, ids=repr)
def test_what_is_no_json_object_selects_nothing(expression, text):
    select = compile_selector(expression)
    assert select(text) is None
    assert select(text.encode()) is None


@pytest.mark.parametrize("expression", FORMS)
@pytest.mark.parametrize(
    "text",
    [b'{"action": "\xff"}', b'{"action": "x", "n": "\xff"}', b'{"action": "x", "\xc3": 1}', b'{"action": "\xed\xa0\x80"}',
     b"\xff", b"\xff\xfe{\0}\0"],
)  # fmt: skip
def test_bytes_that_are_no_utf8_select_nothing(expression, text):
    assert compile_selector(expression)(text) is None


@pytest.mark.parametrize("expression", FORMS)
@pytest.mark.parametrize("depth", [50, 300, 600, 900, 2000, 60_000])
@pytest.mark.parametrize("member", ["action", "other"])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
def test_deep_nesting_never_raises(start, end, member, depth, expression):
    text = f'{{"{member}": {start * depth}1{end * depth}}}'
    key = compile_selector(expression)(text)
    assert key is None or isinstance(key, str)
    assert compile_selector(expression)(text[: depth // 2]) is None


@given(st.text() | st.binary())
def test_any_message_gives_a_key_or_none(text):
    for expression in FORMS:
        key = compile_selector(expression)(text)
        assert key is None or isinstance(key, str)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["action", "b", "é"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_both_ways_to_evaluate_agree(value):
    text = json.dumps(value)
    single, mixture = compile_selector(MEMBER)(text), compile_selector("-" + MEMBER)(text)
    assert (single is None) == (mixture is None) == (not isinstance(value, dict))
    if single is not None:
        assert mixture == "-" + single


@pytest.mark.parametrize(
    ("expression", "position"),
    [
        ("$", 0), ("$default", 0), ("$context.stage", 0), ("$request", 0), ("$request.body", 0), ("$request.body.", 0),
        ("$request.header.x", 0), ("$request.bodyaction", 0), ("$request.body..a", 0), ("${request.body}", 0),
        ("${request.body.}", 0), ("${request.body.a", 0), ("${ request.body.a }", 0), ("${request.body.a b}", 0),
        ("${request.body.é}", 0), ("$REQUEST.body.a", 0), ("x$", 1), ("$request.body.a$", 15), ("$$request.body.a", 0),
        ("$request.body.a/${request.body", 16), ("{$request.body.a}$x", 17),
    ],
)  # fmt: skip
def test_a_dollar_that_starts_no_variable_is_refused(expression, position):
    with pytest.raises(DeclarationError) as caught:
        compile_selector(expression)
    message = str(caught.value)
    assert f"has a '$' at position {position} that starts no variable" in message
    assert repr(expression) in message
    assert "expected $request.body.NAME" in message


def test_an_empty_expression_is_refused():
    with pytest.raises(DeclarationError, match="select is empty; expected an expression"):
        compile_selector("")


@given(st.text(min_size=1))
def test_any_expression_compiles_or_is_refused(expression):
    try:
        select = compile_selector(expression)
    except DeclarationError:
        assert "$" in expression
    else:
        assert isinstance(select("{}"), str)
