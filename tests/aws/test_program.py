"""What a program is on AWS."""

import pytest

from trunkline.aws.program import Authorizer, Names, Route, Use
from trunkline.errors import ConfigurationError, DeclarationError
from trunkline.resources.permissions import Declared

CHAT = """\
from trunkline import websocket
from shared import people

socket = websocket("live-scores").allow("closing")

@socket.on("connect")
async def connect(ctx): ...

@socket.on("message", route="bid")
async def bid(ctx): ...
"""
ADMIN = """\
from trunkline import collection, websocket

audit = collection("audit.log").allow("writing")
socket = websocket("live-scores")

@socket.authorizer(identity=["route.request.querystring.token"])
async def decide(ctx): ...

@socket.on("message")
async def message(ctx): ...
"""
SHARED = """\
from trunkline import collection

people = collection("people").allow("reading")
more = people.allow("writing")
"""


@pytest.fixture
def both(on_aws):
    return on_aws("chat.py", "admin.py", chat=CHAT, admin=ADMIN, shared=SHARED)


def test_each_file_is_a_function_of_its_own(both):
    assert [(one.name, one.program) for one in both.functions] == [("Chat", "chat.py"), ("Admin", "admin.py")]
    assert [[file.name for file in one.sources] for one in both.functions] == [["chat.py", "shared.py"], ["admin.py"]]


def test_a_function_may_do_what_its_file_and_those_that_it_imports_ask_for(both):
    assert both.function("Chat").uses == (
        Use("collection", "people", "reading", Declared("shared.py", 3)),
        Use("collection", "people", "writing", Declared("shared.py", 4)),
        Use("websocket", "live-scores", "closing", Declared("chat.py", 4)),
        Use("websocket", "live-scores", "sending", Declared("chat.py", 4)),
    )
    assert both.function("Admin").uses == (
        Use("collection", "audit.log", "writing", Declared("admin.py", 3)),
        Use("websocket", "live-scores", "sending", Declared("admin.py", 4)),
    )


def test_a_route_leads_to_the_function_of_the_file_that_declares_it(both):
    (socket,) = both.sockets
    assert (socket.name, socket.logical_id, socket.where) == ("live-scores", "LiveScores", Declared("chat.py", 4))
    assert socket.routes == (
        Route("$connect", "Chat", Declared("chat.py", 6)),
        Route("$default", "Admin", Declared("admin.py", 9)),
        Route("bid", "Chat", Declared("chat.py", 9)),
    )
    assert [route.two_way for route in socket.routes] == [False, True, True]
    assert socket.authorizer == Authorizer("Admin", ("route.request.querystring.token",), Declared("admin.py", 6))


def test_each_collection_is_a_table(both):
    assert [(one.name, one.logical_id, str(one.where)) for one in both.tables] == [
        ("audit.log", "AuditLogTable", "admin.py:3"), ("people", "PeopleTable", "shared.py:3"),
    ]  # fmt: skip


def test_a_program_may_be_a_module(on_aws):
    found = on_aws("app.chat", app__chat=CHAT.replace("from shared import people\n", ""))
    assert (found.name, found.functions[0].name, found.functions[0].program) == ("chat", "Chat", "app.chat")
    assert str(found.sockets[0].where) == "app/chat.py:3"


def test_a_handler_of_an_imported_module_is_the_functions_that_imports_it(on_aws):
    imported = 'from trunkline import websocket\ns = websocket("s")\n@s.on("message")\nasync def f(ctx): ...\n'
    found = on_aws("chat.py", chat="import routes", routes=imported)
    assert found.sockets[0].routes == (Route("$default", "Chat", Declared("routes.py", 3)),)


def test_a_file_without_a_handler_is_refused(on_aws):
    with pytest.raises(ConfigurationError, match=r"^idle\.py declares no handler, so no event would ever start it"):
        on_aws("chat.py", "idle.py", chat=CHAT, shared=SHARED, idle="x = 1")


def test_a_socket_without_a_handler_is_refused_with_its_line(on_aws):
    with pytest.raises(DeclarationError, match=r"chat\.py:2: websocket\('s'\) has no handler"):
        on_aws(chat='from trunkline import websocket\ns = websocket("s")\n')


def test_a_file_outside_the_folder_of_the_first_is_refused(on_aws, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "other.py"
    other.write_text("x = 1")
    with pytest.raises(ConfigurationError, match=r"other\.py is outside of .*, where the rest of the program is"):
        on_aws("chat.py", str(other), chat=CHAT, shared=SHARED)


def test_logical_ids_are_read_like_names_and_are_all_different():
    names = Names()
    found = [names.new(name) for name in ("live-scores", "live_scores", "LiveScores", "chat.room", "é", "2nd", "ß")]
    assert found == ["LiveScores", "LiveScores2", "LiveScores3", "ChatRoom", "Unnamed", "2nd", "Unnamed2"]


def test_a_socket_may_be_called_as_its_file_and_its_collection_are(on_aws):
    chat = 'from trunkline import collection, websocket\nc = collection("chat")\ns = websocket("chat")\n'
    found = on_aws("chat.py", chat=f'{chat}@s.on("message")\nasync def f(ctx): ...\n')
    assert (found.functions[0].name, found.sockets[0].logical_id, found.tables[0].logical_id) == (
        "Chat", "Chat", "ChatTable",
    )  # fmt: skip
