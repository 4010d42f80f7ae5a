"""Any WSGI server and framework (PEP 3333)."""
