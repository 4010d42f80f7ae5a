"""Into and out of Flask: the middleware that answers the wire, and the pages beside it."""
