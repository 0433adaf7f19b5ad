"""Mapping templates as API Gateway renders them, and what they cannot do."""

import importlib.util
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.integrations import vtl_template
from trunkline.integrations.vtl_template import Templates, load
from trunkline.integrations.vtl_values import OUTPUT_BYTES, Refused

CONTEXT = {
    "routeKey": "$connect",
    "connectionId": "abc=",
    "authorizer": {"principalId": "me"},
    "connectedAt": 1700000000000,
}
BODY = {
    "action": "talk",
    "user": {"name": "Ann", "tags": ["a", "b"]},
    "rows": [{"id": 1}, {"id": 2}],
    "nothing": None,
    "off": False,
}
TEMPLATES = Templates()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def render(template, body=None, **given):
    values = {
        "body": json.dumps(BODY) if body is None else body,
        "context": json.loads(json.dumps(CONTEXT)),
        "stage_variables": {"table": "Rooms"},
        "headers": {"Host": "h"},
        "query": {"room": "1"},
        "path": {},
    }
    return TEMPLATES.render(template, values | given)


def refused(template, **given):
    with pytest.raises(Refused) as caught:
        render(template, **given)
    return str(caught.value)


# What there is.


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("plain text\n", "plain text\n"),
        ("$input.body", json.dumps(BODY)),
        ("$input.json('$.user')", '{"name":"Ann","tags":["a","b"]}'),
        ('$input.json("$.user.tags[0]")', '"a"'),
        ("$input.json('$.nothing')|$input.json('$.no')", 'null|""'),
        ("$input.path('$.user.name')", "Ann"),
        ("$input.path('$').user.name", "Ann"),
        ("$input.path('$').rows[1].id", "2"),
        ("$input.path('$.user')", '{name=Ann, tags=["a","b"]}'),
        ("$input.path('$.rows')", '[{"id":1},{"id":2}]'),
        ("$input.path('$.rows[*].id')", "[1,2]"),
        ("$input.path('$.off')", "false"),
        ("$input.params('room')$input.params().header.Host$input.params().querystring.get('room')", "1h1"),
        ("$input.params().path", "{}"),
        ("$context.connectionId $context.authorizer.principalId", "abc= me"),
        ("$context", "{routeKey=$connect, connectionId=abc=, authorizer={principalId=me}, connectedAt=1700000000000}"),
        ("$stageVariables.table|${stageVariables.table}s", "Rooms|Roomss"),
        ("$stageVariables.get('table')", "Rooms"),
        ("$util.parseJson('{\"a\": [1, 2]}').a[1]", "2"),
        ("$util.escapeJavaScript($input.path('$.user.name')).concat(\"'\")", "Ann'"),
        ("$util.base64Encode($input.body).length()", str(4 * -(-len(json.dumps(BODY)) // 3))),
    ],
)
def test_a_template_finds_what_api_gateway_gives_it(template, text):
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("#set($x = 5)$x", "5"),
        ("#set( $x = 'a' )\nb$x", "ba"),
        ("#set($x-y = 1)$x-y", "1"),
        ("#set($x = {})#set($x.a = 1)#set($x['b c'] = [])$x", "{a=1, b c=[]}"),
        ("#set($x = [1, 2])#set($i = 1)#set($x[$i] = 3)$x", "[1, 3]"),
        ("#set($x = {'a': {'b': [1]}})#set($x.a.b[0] = 2)$x.a.b[0]", "2"),
        ("#set($x = {\"a\": 1, 'b': [true, null, 'c', -2, 1.5]})$x", "{a=1, b=[true, null, c, -2, 1.5]}"),
        ("#set($x = [])$x.add('a')$x.size()$x.isEmpty()", "true1false"),
        ('#set($x = "$context.connectionId!")$x', "abc=!"),
        ("#set($x = '$context.connectionId')$x", "$context.connectionId"),
        ('#set($x = "#if(true)yes#end")$x', "yes"),
        ('#set($x = "{""a"": ""$context.connectionId""}")$x', '{"a": "abc="}'),
        ("#set($x = 'it''s')$x", "it's"),
        (r"#set($x = 'a\nb')$x", r"a\nb"),
        ("#if(true)a#end", "a"),
        ("#if(false)a#{else}b#end", "b"),
        ("#if(false)a#elseif(true)b#{else}c#end", "b"),
        ("#if(false)a#elseif(false)b#{else}c#{end}d", "cd"),
        ("#if($input.path('$.off'))a#elseif(!$input.path('$.off'))b#end", "b"),
        ("#if($input.path('$.action') == 'talk' && ($input.path('$.rows').size() > 1 || false))a#end", "a"),
        ("#if(1 + 2 * 3 == 7 and not (10 - 2 - 3 != 5))a#end", "a"),
        ("#set($x = 1 + 2 * 3 - 8 / 4)$x", "5"),
        ("#set($x = (1 + 2) * 3)$x", "9"),
        ("#set($n = [])#if(false && $n.get(0))a#{else}b#end#if(true || $n.get(0))c#end", "bc"),
        ("#foreach($x in $input.path('$.rows'))$x.id#if($foreach.hasNext), #end#end", "1, 2"),
        (
            "#foreach($x in [1..3])$foreach.index$foreach.count$velocityCount$foreach.first$foreach.last #end",
            "011truefalse 122falsefalse 233falsetrue ",
        ),
        ("#foreach($x in [3..1])$x#if($velocityHasNext),#end#end", "3,2,1"),
        ("#foreach($x in $input.path('$.user').keySet())$x;#end", "name;tags;"),
        ("#foreach($x in $input.path('$.user').entrySet())$x.key=$x.getValue();#end", 'name=Ann;tags=["a","b"];'),
        ("#foreach($x in {'a': 1, 'b': 2})$x#end", "12"),
        ("#foreach($x in $no)a#end#foreach($x in 'text')b#end#foreach($x in 5)c#end", ""),
        (
            "#foreach($x in [1, 2])#foreach($y in ['a', 'b'])$x$y$foreach.index #end$foreach.index;#end",
            "1a0 1b1 0;2a0 2b1 1;",
        ),
        ("#foreach($x in [1, 2])#set($last = $x)#end$last|$x", "2|"),
        ("#set($all = '')#foreach($x in [1, 2])#set($all = \"$all$x\")#end$all", "12"),
        ("#set($x = 0)#foreach($x in [1, 2])$x#end$x", "120"),
        ("a## comment\nb#* long\ncomment *#c", "abc"),
        ("$!no|$!{no}|$!context.connectionId", "||abc="),
        ("a#stop b", "a"),
        ("#foreach($x in [1, 2, 3])#if($x == 2)#break#end$x#end.", "1."),
        ("#foreach($x in [1, 2])#foreach($y in [1, 2])$x$y #{break}#end#end", "11 21 "),
        ("a#break b", "a"),
        ("a#[[$x #if( #end\n]]#b", "a$x #if( #end\nb"),
        ("{\n#foreach($x in [1, 2])\n$x#if($foreach.hasNext),#end\n#end\n}", "{\n1,2}"),
        ("#foreach($x in [1, 2])$x#stop#end", "1"),
        ("#define($x)<$y>#end#set($y = 1)$x#set($y = 2)$x", "<1><2>"),
        ("#define($x)hi#end$x()", "hi()"),
        ("#set($Integer = 0)#set($x = $Integer.parseInt('7') + 1)$x", "8"),
        ("#set($list = [1, 2])#set($i = 1)$list[$i]$list.get($i)$list[5]", "22"),
        ("#set($x = {'a': [[1, 2], [3]]})$x.a[0][1]$x['a'][1][0]$x.a.get(1)", "23[3]"),
        ("#set($x = [[{'a': {'b': 1}}]])#set($i = 0)$x[0][$i].a.b", "1"),
        ("${no|'other'}", "other"),
    ],
)
def test_a_template_does_what_velocity_does(template, text):
    assert render(template) == text


@pytest.mark.parametrize(
    "template", ["$", "$$", "$5", "a $ b", "#", "#fff", "<a href='#'>", "{}", "100 %", "a\\b", "€", "[[1]]"]
)
def test_what_is_no_reference_and_no_directive_is_text(template):
    assert render(template) == template


def test_an_escaped_reference_is_text():
    assert render(r"\$context.connectionId") == "$context.connectionId"


# What API Gateway was seen to do, where Velocity does otherwise.


@pytest.mark.parametrize(
    "template",
    [
        "$no",
        "${no}",
        "$no.more",
        "$no.more()",
        "$context.no.more[1]",
        "$input.path('$.no')",
        "$input.path('$.nothing')",
    ],
)
def test_what_is_undefined_prints_nothing(template):
    assert render(f"<{template}>") == "<>"


def test_what_is_undefined_is_true_and_equal_to_an_empty_text():
    assert render("#if($no)a#end#if(!$no)b#end#if($no == '')c#end#if($input.path('$.nothing') != '')d#end") == "ac"


@pytest.mark.parametrize(
    "call",
    [
        "#hello(1)",
        "#hello($context.connectionId)",
        "#return($x)",
        "#evaluate($x)",
        "#evaluate('$x')",
        "#hello(a b",
        "#evaluate x",
    ],
)
def test_macros_are_text_where_they_are_called(call):
    assert render(call + " ") == call + " "


def test_the_definition_of_a_macro_is_nothing():
    assert render("a#macro(hello $name)Hello $name#{end}b") == "ab"


# What is wrong is told with its line.


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n#if(true)b", "line 2, column 11: expected #else, #elseif or #end in if directive, got:  ..."),
        ("a\nb#end", "line 2, column 2: expected block element in template body, got: #end ..."),
        ("a\n#set($x)", "line 2, column 8: expected = in set directive, got: ) ..."),
        ("a\n\n#if(", "line 3: this #if cannot be read: ("),
        ("#foreach(x in y)", "line 1, column 10: expected loop var name in foreach directive, got: x in y) ..."),
        ("a\n$input.nope()", "line 2: $input has no method nope(); known are json, params, path"),
        ("a\n#if(true)\n$util.parseJson('{')#end", "line 3: it is not JSON: "),
        ("\n$input", "line 2: $input cannot be printed; name a member of it"),
        ("\n$context()", "line 2: $context is no function"),
        ("\n#set($x.y = 1)", "line 2: y of what is neither an object nor a list cannot be set"),
        ("\n#set($x = [1])#set($x[3] = 1)", "line 2: set() of a list failed: there is no 3 among 1"),
        ('\n#set($x = "a\n$input.nope()")', "line 2: $input has no method nope(); known are json, params, path"),
        ('\n\n#set($x = "a\n#end")', 'line 3: in the string "a\n#end": line 2, column 1: expected block element'),
        ("\n#set($x = {[1]: 2})", "line 2: TypeError: unhashable type: 'Literal'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(template, said):
    assert refused(template).startswith(said)


def test_a_body_that_is_not_json_is_told_where_it_is_searched():
    assert refused("a\n$input.json('$')", body="hello").startswith(
        "line 2: the body cannot be searched: it is not JSON: "
    )


# What a template cannot do.


@pytest.mark.parametrize(
    "template",
    [
        "$input.getClass()", "$input.getClass().forName('java.lang.Runtime')", "$x.__class__", "$input.__class__", "$context.__init__",
        "$context.routeKey.__class__.__mro__", "$input._properties", "$util._replace()", "$context.routeKey.format(1)", "$input.body.encode()",
        "$context.keys()", "$context.items()", "$context.pop('routeKey')", "$context.a__b", "#set($__x = 1)", "#set($x.__class__ = 1)",
        "#set($context.__class__ = 1)", "#foreach($_x in [1])#end", "#set($l = [1])$l.append(2)", "#set($l = [1])$l.__len__()",
        "#set($x = 5)$x.to_bytes(8)", "#set($x = \"$context.__init__\")", "$util.parseJson('{}').__class__", "$context['x'].__class__",
        "$context.get('x').__class__", "#define($d)x#end$d.__class__", "$input.json.__globals__", "#if($x.__class__)a#end",
    ],
)  # fmt: skip
def test_no_attribute_of_an_object_of_python_is_reached(template):
    assert re.match(
        r"line 1: (in the string .+: line 1: )?(the name \S+ is refused|.+ has no method )", refused(template)
    )


@pytest.mark.parametrize(
    "template",
    [
        "$foo.mro",
        "$context.mro",
        "$input.methods",
        "$input.name",
        "$input.json.func",
        "$context.keys",
        "$context.routeKey.upper",
        "$util.properties",
    ]
    + [
        "#set($l = [1])$l.append",
        "#set($x = 5)$x.real",
        "$input['methods']",
        "$context['__class__']",
        "$context.get('__class__')",
        "$x.format('a')",
    ]
    + [
        "#foreach($e in $context.entrySet())$e.count$e.index#end",
        "#define($d)#end$d.block",
        "#foreach($x in [1])$foreach.parent#end",
        "$top",
        "$self",
    ],
)
def test_what_looks_like_an_attribute_is_nothing(template):
    assert render(template) == ""


def test_a_member_with_a_refused_name_is_data_and_found_by_its_name():
    assert (
        render(
            "$input.path('$').get('__typename')$input.path('$')['_id']$input.json('$._id')",
            body='{"__typename": "T", "_id": 7}',
        )
        == "T77"
    )


@pytest.mark.parametrize("directive", ["#parse", "#include"])
@pytest.mark.parametrize("argument", ["'/etc/passwd'", '"/etc/passwd"', "$input.body", "'other.vm'"])
def test_no_file_is_read(directive, argument):
    assert (
        refused(f"a\n{directive}({argument})") == "line 2: #parse and #include are not available in a mapping template"
    )


@pytest.mark.parametrize(
    "template",
    [
        "#define($x)$x#end$x",
        "#define($x)$y#end#define($y)$x#end$x",
        "#set($x = {})#set($x.a = $x)$x",
        "#if(true)" * 2000 + "#end" * 2000,
    ]
    + ["#set($x = " + "(" * 3000 + "1" + ")" * 3000 + ")", "#set($x = " + "[" * 3000 + "]" * 3000 + ")"],
)
def test_what_goes_too_deep_is_told(template):
    assert refused(template).endswith("it goes too deep, or has something within itself")


@pytest.mark.parametrize(
    "template",
    [
        "#set($x = 'x')#foreach($i in [1..60])#set($x = \"$x$x\")#end$x",
        "#set($x = 'x')#foreach($i in [1..60])#set($x = $x + $x)#end$x",
        "#set($x = ['x'])#foreach($i in [1..60])#set($x = [$x, $x])#end$x",
        "#define($x)xxxxxxxxxx#end#foreach($i in [1..1000000])$x#end",
        "#set($x = 'x')#foreach($i in [1..60])#set($x = $x.concat($x))#end$x",
        "#set($x = 'x')#foreach($i in [1..60])#set($x = $x.replaceAll('x', 'xx'))#end$x",
    ],
)
def test_a_text_does_not_grow_beyond_its_limit(template):
    assert "the text is longer than 1,048,576 bytes" in refused(template)


def test_a_text_may_be_as_long_as_its_limit():
    template = "#set($x = 'x')#foreach($i in [1..20])#set($x = \"$x$x\")#end$x"
    assert len(render(template)) == OUTPUT_BYTES


CODE = "#set($x = 1)$x $context.connectionId #stop #foreach($i in [1..5])$i#end ${util} ## end"


@pytest.mark.parametrize(
    "template",
    [
        "$input.body",
        '#set($b = "$input.body")$b',
        "#set($b = $input.body)$b",
        "#define($b)$input.body#end$b",
        '#set($b = "$input.body")#set($b = "$b")$b',
    ],
)
def test_what_a_client_sends_is_never_read_as_a_template(template):
    assert render(template, body=CODE) == CODE


@given(JSON)
def test_the_json_of_any_body_is_the_same_value(value):
    assert json.loads(render("$input.json('$')", body=json.dumps(value))) == value


@given(JSON)
def test_any_member_has_the_json_of_its_value(value):
    assert json.loads(render("$input.json('$.a[0]')", body=json.dumps({"a": [value]}))) == value


@given(st.text())
def test_any_body_is_given_back(body):
    assert render("<$input.body>", body=body) == f"<{body}>"


@given(st.lists(st.sampled_from(["#if", "#foreach", "#set", "#end", "#else", "#define", "#macro", "(", ")", "$x", "${", "}", "'", '"', "[", "]", "..", " in ", "=", "1", ".", "a", "\n", "#*", "*#", "##", "\\", "!", "|", ",", ":", "{", "$input.path('$')"]), max_size=25).map("".join) | st.text())  # fmt: skip
def test_no_template_raises_anything_but_a_refusal(template):
    try:
        assert isinstance(render(template), str)
    except Refused:
        pass


# How it is made.


def test_a_template_is_read_once():
    templates = Templates()
    values = {"body": "", "context": {}, "stage_variables": {}, "headers": {}, "query": {}, "path": {}}
    assert templates.render("#define($x)a#end$x", values) == "a"
    first = templates._read["#define($x)a#end$x"]
    assert templates.render("#define($x)a#end$x", values) == "a"
    assert templates._read["#define($x)a#end$x"] is first


def test_nothing_of_a_rendering_is_there_in_the_next():
    assert render("#set($x = 1)#set($context.routeKey = 2)#set($stageVariables = 3)$x") == "1"
    assert render("$x$context.routeKey$stageVariables.table") == "$connectRooms"


def test_the_oldest_of_many_templates_are_forgotten(monkeypatch):
    monkeypatch.setattr(vtl_template, "_KEPT", 3)
    templates = Templates()
    values = {"body": "", "context": {}, "stage_variables": {}, "headers": {}, "query": {}, "path": {}}
    for template in ("a", "b", "a", "c", "d"):
        templates.render(template, values)
    assert list(templates._read) == ["a", "c", "d"]
    monkeypatch.setattr(vtl_template, "_KEPT_CHARACTERS", 10)
    templates.render("e" * 8, values)
    assert list(templates._read) == ["c", "d", "e" * 8]


def test_the_module_of_others_is_left_as_it_is():
    import airspeed

    load()
    assert airspeed.Template("$x.upper()").merge({"x": "a"}) == "A"


def test_an_airspeed_with_an_element_that_is_not_known_is_refused(monkeypatch):
    loader = type(importlib.util.find_spec("airspeed").loader)
    execute = loader.exec_module

    def with_one_more(self, module):
        execute(self, module)
        module.ShellDirective = type("ShellDirective", (module._Element,), {})

    monkeypatch.setattr(loader, "exec_module", with_one_more)
    with pytest.raises(ImportError, match="^this airspeed has other elements: ShellDirective$"):
        load()


def test_without_airspeed_there_are_no_templates(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="^airspeed is not installed$"):
        load()
