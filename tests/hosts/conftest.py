"""An app that sells and measures."""

import pytest

from tests.apps import App


@pytest.fixture
def orders(app: App) -> App:
    app.live.channel("orders")
    app.live.channel("weather")
    app.live.channel("room/<int:room_id>")
    return app
