"""Use the public face as an app would. Nothing runs this: mypy and pyright check that its types suffice."""

from typing import Any, assert_type

from flask import Flask, render_template
from flask_landline import Event, Landline, LandlineError, LogError, Refusal, UsageError

app = Flask(__name__)
app.config["LANDLINE_LOG"] = "memory:"

live = Landline(app)
later = Landline()
assert_type(later.init_app(app), None)
assert_type(later.close(app), None)

orders = live.channel("orders")
room = live.channel("room/<int:room_id>", keep=500, keep_for=3600)
weather = live.channel("weather")


@room.snapshot
def messages(room_id: int) -> list[dict[str, Any]]:
    return [{"room": room_id}]


@weather.source(every=2.0)
def new_data_available() -> float | None:
    return None


@weather.source(every=0.5, only_changes=True)
def sensor() -> float:
    return 21.5


# The decorators give back what they got, types and all.
assert_type(messages(room_id=3), list[dict[str, Any]])
assert_type(new_data_available(), float | None)
assert_type(sensor(), float)


@app.post("/orders/<int:order_id>")
def order(order_id: int) -> dict[str, Any]:
    event = orders.publish({"id": order_id})
    assert_type(event, Event)
    assert_type(room.publish({"text": "hi"}, room_id=3), Event)
    assert_type(live.publish("room/3", ["any", "value", None]), Event)
    assert_type(event.channel, str)
    assert_type(event.offset, int)
    assert_type(event.at, float)
    return {"offset": event.offset, "data": event.data}


@app.get("/")
def page() -> str:
    cursor = live.cursor()
    assert_type(cursor, str)
    return render_template("page.html", cursor=cursor)


def forgiving() -> str:
    try:
        live.publish("nowhere", 1)
    except UsageError as error:
        return str(error)
    except Refusal as error:
        return f"{assert_type(error.code, str)} {assert_type(error.status, int)}"
    except LogError as error:
        return "again" if assert_type(error.retryable, bool) else str(error)
    except LandlineError:
        raise
    return ""


@room.reader
def may_read(room_id: int) -> bool:
    return room_id > 0


assert_type(may_read(room_id=3), bool)
assert_type(live.revoke(7), None)
assert_type(live.revoke(channel="room/3"), None)
assert_type(room.revoke(room_id=3), None)
