"""Who is measured beside Landline, one file each: how it is started, how it is asked, and what it cannot do."""

from bench.peers import (
    django_eventstream,
    flask_plain,
    flask_socketio,
    flask_sse,
    landline,
    nchan,
    nginx,
    socketio_node,
    socketio_uvicorn,
)

PEERS = (
    nginx.PEER,
    landline.LISTENER,
    landline.GTHREAD,
    nchan.PEER,
    flask_plain.GTHREAD,
    flask_plain.GEVENT,
    flask_plain.GRANIAN,
    flask_plain.CONSTANT,
    flask_socketio.THREADING,
    flask_socketio.GEVENT,
    socketio_uvicorn.PEER,
    socketio_node.PEER,
    django_eventstream.PEER,
    flask_sse.PEER,
)
